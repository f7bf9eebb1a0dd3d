"""Identification: what is accepted as an ID, an e-mail address or a domain."""

from __future__ import annotations

import copy
import dataclasses
import enum
import pickle
from uuid import UUID

import pytest

from journy_track import AccountIdentified, InvalidArgument, UserIdentified, verification_hash


class Index:
    def __index__(self):
        return 42


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "shown otherwise"


class Ulid:
    """Like the IDs of python-ulid and bson, which have their own text form, an int() and bytes()."""

    def __str__(self):
        return "01HZY3K2V5T0A8N6Q4R1S7W9XB"

    def __int__(self):
        return 7

    def __bytes__(self):
        return b"7"


class Plan(enum.Enum):
    PRO = "pro"
    SEVEN = 7


TAKEN = [
    ("u1", "u1"),
    (" padded ", " padded "),
    (Text("u1"), "u1"),
    (0, "0"),
    (-3, "-3"),
    (10**30, "1" + "0" * 30),
    (Index(), "42"),
    (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (Ulid(), "01HZY3K2V5T0A8N6Q4R1S7W9XB"),
    (Plan.PRO, "pro"),
    (Plan.SEVEN, "7"),
    (enum.IntEnum("Level", "LOW").LOW, "1"),
    (enum.StrEnum("Colour", "RED").RED, "red"),
    ("naïve ✓", "naïve ✓"),
    ("\ud83d\ude00", "😀"),
    ("a\ud800", "a\ufffd"),
]


@pytest.mark.parametrize(("given", "text"), TAKEN)
def test_an_id_travels_as_text(given, text):
    assert UserIdentified(given).wire() == {"userId": text}
    assert AccountIdentified(given).wire() == {"accountId": text}
    assert type(UserIdentified(given).user_id) is str


def test_identities_are_made_by_id_or_by_the_other_name():
    assert UserIdentified.by_user_id(5).wire() == {"userId": "5"}
    assert UserIdentified.by_email("jane@acme.com").wire() == {"email": "jane@acme.com"}
    assert AccountIdentified.by_account_id(5).wire() == {"accountId": "5"}
    assert AccountIdentified.by_domain("acme.com").wire() == {"domain": "acme.com"}
    assert UserIdentified("u1", "jane@acme.com").wire() == {"userId": "u1", "email": "jane@acme.com"}
    assert AccountIdentified(domain="acme.com", account_id="a1").wire() == {"accountId": "a1", "domain": "acme.com"}


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: UserIdentified.by_user_id(""), "user_id"),
        (lambda: UserIdentified.by_user_id(None), "user_id"),
        (lambda: UserIdentified.by_email(""), "email"),
        (lambda: UserIdentified.by_email(None), "email"),
        (lambda: UserIdentified.by_email("jane"), "email"),
        (lambda: AccountIdentified.by_account_id(""), "account_id"),
        (lambda: AccountIdentified.by_account_id(None), "account_id"),
        (lambda: AccountIdentified.by_domain(""), "domain"),
        (lambda: AccountIdentified.by_domain(None), "domain"),
        (lambda: AccountIdentified.by_domain("https://acme.com"), "domain"),
        (lambda: UserIdentified(""), "user_id"),
        (lambda: UserIdentified(" \t\n"), "user_id"),
        (lambda: UserIdentified("", email="jane@acme.com"), "user_id"),
        (UserIdentified, "user_id"),
        (AccountIdentified, "account_id"),
    ],
)
def test_what_is_missing_or_empty_is_refused_by_name(make, argument):
    with pytest.raises(InvalidArgument, match=argument):
        make()


BAD_EMAILS = ["", " ", "jane", "@", "jane@", "@acme.com", "a@b@c", "jane @acme.com", "jane@acme.com\n", "jane@.com"]
BAD_DOMAINS = ["", " ", "https://acme.com", "acme.com/x", "acme.com:80", "a@acme.com", "acme .com", ".com", "a..com"]


@pytest.mark.parametrize("email", BAD_EMAILS)
def test_an_unusable_email_is_left_out_beside_an_id_and_refused_alone(email):
    assert UserIdentified("u1", email=email).wire() == {"userId": "u1"}
    with pytest.raises(InvalidArgument, match="email"):
        UserIdentified(email=email)


@pytest.mark.parametrize("domain", BAD_DOMAINS)
def test_an_unusable_domain_is_left_out_beside_an_id_and_refused_alone(domain):
    assert AccountIdentified("a1", domain=domain).wire() == {"accountId": "a1"}
    with pytest.raises(InvalidArgument, match="domain"):
        AccountIdentified(domain=domain)


@pytest.mark.parametrize("email", [5, True, b"jane@acme.com", ["jane@acme.com"], {}, 1.5])
def test_an_email_of_another_type_is_a_mistake_even_beside_an_id(email):
    with pytest.raises(InvalidArgument, match=f"email must be a str, got {type(email).__name__}|got True"):
        UserIdentified("u1", email=email)


def test_an_id_that_looks_like_an_email_is_taken_and_warned_of_once(caplog):
    assert UserIdentified("jane@acme.com").wire() == {"userId": "jane@acme.com"}
    UserIdentified("john@acme.com")
    assert [record.message for record in caplog.records] == [
        (
            "user_id looks like an e-mail address: IDs should be static database IDs; "
            "pass an address as email= instead. (Logged once.)"
        )
    ]


@pytest.mark.parametrize("make", [lambda: UserIdentified("1", "a@b.c"), lambda: AccountIdentified("1", "b.c")])
def test_an_identity_is_a_value(make):
    one, other = make(), make()
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.copy(one) == copy.deepcopy(one) == one
    for field in dataclasses.fields(one):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, field.name, "x")


def test_a_user_is_no_account():
    assert UserIdentified("1") != AccountIdentified("1")
    assert UserIdentified("1") != UserIdentified("1", "a@b.c")


SAME = [
    (UserIdentified("1"), UserIdentified("1"), True),
    (UserIdentified("1", "a@b.c"), UserIdentified("1", "x@y.z"), True),
    (UserIdentified("1", "a@b.c"), UserIdentified(email="a@b.c"), True),
    (UserIdentified(email="a@b.c"), UserIdentified(email="a@b.c"), True),
    (UserIdentified("1", "a@b.c"), UserIdentified("2", "a@b.c"), False),
    (UserIdentified("1"), UserIdentified(email="a@b.c"), False),
    (UserIdentified(email="a@b.c"), UserIdentified(email="A@b.c"), False),
    (AccountIdentified("1", "b.c"), AccountIdentified("1", "y.z"), True),
    (AccountIdentified("1", "b.c"), AccountIdentified(domain="b.c"), True),
    (AccountIdentified("1", "b.c"), AccountIdentified("2", "b.c"), False),
    (AccountIdentified("1"), AccountIdentified(domain="b.c"), False),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_two_identities_are_one_by_id_or_where_one_lacks_it_by_the_other_name(one, other, same):
    assert one.same_as(other) is same
    assert other.same_as(one) is same


def test_the_verification_hash_is_the_hmac_of_rfc_4231():
    # Test case 2 of RFC 4231, "4.3".
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert verification_hash("what do ya want for nothing?", "Jefe") == expected


def test_the_verification_hash_is_of_the_id_as_it_travels():
    assert verification_hash(5, "secret") == verification_hash("5", "secret")
    for identifier, secret in ((None, "s"), ("", "s"), (True, "s"), ("5", ""), ("5", None), ("5", b"s")):
        with pytest.raises(InvalidArgument):
            verification_hash(identifier, secret)
