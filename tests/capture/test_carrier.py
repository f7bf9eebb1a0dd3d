"""The acting user carried as text: written, read and signed, and whatever a stranger may send."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journy_track
from journy_track import AccountIdentified, ConfigurationError, Context, DeleteUser, UserIdentified, track
from journy_track.integrations.wsgi import JournyMiddleware

HEADER = "journy-track"
SECRET = "a secret of the tests 0123456789"


def carried(**options) -> dict[str, str]:
    """Return the headers with which Jane's work continues elsewhere."""
    headers: dict[str, str] = {}
    with (
        journy_track.user("u1", email="jane@acme.com"),
        journy_track.account("acme", domain="acme.com"),
        journy_track.metadata(channel="web", seats=3),
    ):
        journy_track.inject(headers, **options)
    return headers


def extracted(headers) -> Context:
    with journy_track.extract(headers) as context:
        return context


def test_user_account_and_metadata_are_carried_and_the_email_only_where_asked():
    account = AccountIdentified("acme", "acme.com")
    expected = Context(UserIdentified("u1"), account, {"channel": "web", "seats": 3})
    assert extracted(carried()) == expected
    assert extracted(carried(email=True)).user == UserIdentified("u1", "jane@acme.com")


def test_it_is_one_short_header_of_characters_that_every_broker_and_proxy_takes():
    headers = carried()
    assert list(headers) == [HEADER]
    assert set(headers[HEADER]) <= {*string.ascii_letters, *string.digits, *"-_."}
    assert headers[HEADER].startswith("1.")
    assert len(headers[HEADER]) < 200


def test_where_nobody_acts_nothing_is_written():
    headers: dict[str, str] = {}
    journy_track.inject(headers)
    assert headers == {}


def test_a_user_known_by_email_alone_is_left_out_and_logged(caplog):
    headers: dict[str, str] = {}
    with journy_track.user(email="jane@acme.com"), journy_track.account("acme"):
        journy_track.inject(headers)
    assert extracted(headers) == Context(None, AccountIdentified("acme"))
    assert "known by e-mail alone is not passed on: pass email=True" in caplog.text
    with journy_track.user(email="jane@acme.com"):
        journy_track.inject(headers, email=True)
    assert extracted(headers).user == UserIdentified(email="jane@acme.com")


def test_metadata_that_is_too_long_stays_behind_and_is_logged(caplog):
    headers: dict[str, str] = {}
    with journy_track.user("u1"), journy_track.metadata(long="x" * 4096):
        journy_track.inject(headers)
    assert extracted(headers) == Context(UserIdentified("u1"))
    assert "is not passed on" in caplog.text


def test_an_id_that_is_too_long_is_not_carried_and_is_logged(caplog):
    headers: dict[str, str] = {}
    with journy_track.user("u" * 5000):
        journy_track.inject(headers)
    assert headers == {}
    assert "take more than 4096 characters" in caplog.text


def test_a_scope_is_opened_that_inherits_nothing_and_can_be_filled():
    headers = carried()
    with journy_track.user("somebody else"), journy_track.metadata(left="behind"):
        with journy_track.extract(headers) as context:
            assert context.user == UserIdentified("u1")
            assert "left" not in context.metadata
            journy_track.set_user("u2")
            assert journy_track.current_context().user == UserIdentified("u2")
        assert journy_track.current_context().user == UserIdentified("somebody else")
        assert extracted({}) == Context()


def test_a_block_may_be_entered_twice_and_decorates():
    block = journy_track.extract(carried())
    with block:
        journy_track.set_user("u2")
    with block as context:  # each entry gets a new scope
        assert context.user == UserIdentified("u1")

    @journy_track.extract(carried())
    async def work() -> Context:
        return journy_track.current_context()

    with pytest.raises(StopIteration) as done:
        work().send(None)
    assert done.value.value.user == UserIdentified("u1")


@pytest.mark.parametrize("name", ["Journy-Track", "JOURNY-TRACK", "journy-track"])
@pytest.mark.parametrize("convert", [str, str.encode])
def test_the_header_is_found_in_any_case_and_as_bytes(name, convert):
    assert extracted({"other": "x", name: convert(carried()[HEADER])}).user == UserIdentified("u1")


class Broken(dict):
    def __setitem__(self, key, value):
        raise OSError

    def get(self, key, default=None):
        raise OSError


@pytest.mark.parametrize("carrier", [None, 1, (), Broken(), "text"], ids=repr)
def test_what_is_no_carrier_is_logged_and_raises_nothing(carrier, caplog):
    with journy_track.user("u1"):
        journy_track.inject(carrier)
        assert "inject() could not write" in caplog.text
        assert extracted(carrier) == Context()


BAD = [
    "",
    "1",
    "1.",
    "1.!",
    "2.e30",
    "1.W10",
    "1.MQ",
    "1.eyJ1c2VyIjoxfQ",
    "x" * 20_000,
    "1." + "Ww" * 4000,
    7,
    b"\xff",
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:20])
def test_what_cannot_be_read_leaves_nobody(text, caplog):
    with journy_track.user("u1"):
        assert extracted({HEADER: text}) == Context()
    assert text == "" or "could not be read" in caplog.text


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_nothing_that_a_stranger_sends_raises(text):
    journy_track.extract({HEADER: text})


@given(
    st.text(alphabet=st.characters(exclude_categories=()), min_size=1).filter(lambda text: not text.isspace()),
    st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=4),
)
def test_every_id_and_every_plain_value_comes_back_as_it_was(user_id, values):
    headers: dict[str, str] = {}
    with journy_track.user(user_id), journy_track.metadata(values):
        here = journy_track.current_context()
        journy_track.inject(headers)
    there = extracted(headers)
    assert there.user == here.user
    assert set(there.metadata.values()) <= set(here.metadata.values())


# ── Signed ──


def test_a_signed_carrier_is_read_where_the_secret_is_the_same(api):
    tracker = journy_track.configure("key", base_url=api.url, carrier_secret=SECRET)
    headers = carried()
    assert headers[HEADER].count(".") == 2
    assert extracted(headers).user == UserIdentified("u1")
    assert tracker.stats().carriers_refused == 0


def altered(text: str) -> list[str]:
    version, payload, signature = text.split(".")
    other = carried_unsigned().split(".")[1]
    return [
        f"{version}.{payload}",
        f"{version}.{payload}.",
        f"{version}.{payload}.{signature[:-1]}",
        f"{version}.{payload}.{signature[::-1]}",
        f"{version}.{other}.{signature}",
        f"2.{payload}.{signature}",
        f"{version}.{payload}.é",
        "nothing like one",
    ]


def carried_unsigned() -> str:
    headers: dict[str, str] = {}
    with journy_track.user("admin"):
        journy_track.inject(headers)
    return headers[HEADER].rpartition(".")[0]


def test_unsigned_and_altered_ones_are_refused_counted_and_logged_once(api, caplog):
    tracker = journy_track.configure("key", base_url=api.url, carrier_secret=SECRET)
    texts = [carried_unsigned(), *altered(carried()[HEADER])]
    for text in texts:
        assert extracted({HEADER: text}) == Context()
    assert tracker.stats().carriers_refused == len(texts)
    assert caplog.text.count("is not signed with carrier_secret") == 1


def test_what_cannot_even_be_text_or_is_too_long_is_refused_and_counted_too(api):
    tracker = journy_track.configure("a-key", base_url=api.url, carrier_secret=SECRET)
    texts = [b"1.\xff\xfe.x", "1.\ud800.x", "1.e30.\u00e9", "1." + "x" * 20_000, "2.e30", "."]
    forged = [*texts, 5, {"user": "u1"}, ["1.e30"]]
    for text in forged:
        assert extracted({HEADER: text}) == Context()
    assert tracker.stats().carriers_refused == len(forged)


def test_one_of_another_secret_is_refused(api):
    journy_track.configure("key", base_url=api.url, carrier_secret=SECRET)
    headers = carried()
    journy_track.configure("key", base_url=api.url, carrier_secret=SECRET[::-1])
    assert extracted(headers) == Context()
    assert journy_track.stats().carriers_refused == 1


def test_a_secret_in_the_environment_holds_before_configure(monkeypatch):
    unsigned = carried()
    monkeypatch.setenv("JOURNY_CARRIER_SECRET", SECRET)
    assert extracted(unsigned) == Context()
    assert extracted(carried()).user == UserIdentified("u1")


@pytest.mark.parametrize("secret", ["", "short", 1, b"0123456789abcdef"])
def test_a_secret_that_is_none_is_an_error_which_does_not_show_it(secret):
    with pytest.raises(ConfigurationError, match="carrier_secret must be a secret text of at least 16") as raised:
        journy_track.configure("key", carrier_secret=secret)
    assert "short" not in str(raised.value)


def test_the_secret_shows_nowhere(api, shows_no_key, canary):
    shows_no_key.append(journy_track.configure("key", base_url=api.url, carrier_secret=canary))
    extracted({HEADER: "1.x.y"})
    shows_no_key.append(carried())


# ── Where nothing is tracked ─────────────────────────────────────────────────────────────────────────────


def written() -> dict[str, str]:
    """Return the headers of work done as Jane while tracking is suppressed."""
    headers: dict[str, str] = {}
    with journy_track.suppressed(), journy_track.user("u1"):
        journy_track.inject(headers)
    return headers


def test_what_is_sent_where_nothing_is_tracked_tracks_nothing_either(kept):
    headers = written()
    with journy_track.extract(headers) as context:
        track("worked")
        track("worked", user="u2", account="acme")
        with journy_track.scope(), journy_track.user("u3"):
            track("worked")
        journy_track.delete_user("u9")
        onward: dict[str, str] = {}
        journy_track.inject(onward)
    assert context.user == UserIdentified("u1")
    with journy_track.extract(onward):
        track("worked on")
    assert [type(item) for item in kept()] == [DeleteUser]
    assert kept.lost() == {"suppressed": 4}


def test_it_says_so_also_where_nobody_acts_or_nobody_can_be_named(kept):
    for who in (journy_track.user(None), journy_track.user(email="jane@acme.com"), journy_track.user("x" * 4000)):
        headers: dict[str, str] = {}
        with journy_track.suppressed(), who:
            journy_track.inject(headers)
        with journy_track.extract(headers) as context:
            track("worked", user="u1")
        assert context == Context()
    assert kept.lost() == {"suppressed": 3}


def test_a_job_sent_from_a_request_that_is_skipped_tracks_nothing(kept):
    headers: dict[str, str] = {}

    def app(environ, start_response):
        with journy_track.user("u1"):
            journy_track.inject(headers)
        return []

    JournyMiddleware(app, skip=lambda environ: True)({}, lambda *_: None)
    with journy_track.extract(headers):
        track("worked")
    assert kept.lost() == {"suppressed": 1}


def test_a_service_that_trusts_it_tracks_nothing(kept):
    def app(environ, start_response):
        track("visited", user="u1")
        return []

    served = JournyMiddleware(app, user=lambda environ: "u1", trust=lambda environ: True)
    served({"HTTP_JOURNY_TRACK": written()[HEADER]}, lambda *_: None)
    assert kept.lost() == {"suppressed": 1}


def test_one_that_is_altered_suppresses_nothing(api):
    tracker = journy_track.configure("a-key", base_url=api.url, carrier_secret=SECRET)
    headers = written()
    text = headers[HEADER].rpartition(".")[0]
    with journy_track.extract({HEADER: text}), journy_track.user("u1"):
        track("worked")
    with journy_track.extract(headers):
        track("worked")
    assert tracker.flush(20)
    assert [event.name for event in api.events] == ["worked"]
    assert tracker.stats().carriers_refused == 1


def test_one_of_an_earlier_version_still_reads():
    earlier = "1.eyJ1c2VyIjp7InVzZXJJZCI6InUxIn0sIm1ldGFkYXRhIjp7ImNoYW5uZWwiOiJ3ZWIifX0"
    assert extracted({HEADER: earlier}) == Context(UserIdentified("u1"), None, {"channel": "web"})
