"""Values that come from data: outside `strict` they never raise, and are never attributed to another user."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import journy_track
from journy_track import AccountIdentified, InvalidArgument, UserIdentified, track_event
from journy_track._capture import mistakes

HERE = Path(__file__)


@pytest.fixture
def lenient(api):
    """The global tracker as in production, although tests are running."""
    return journy_track.configure("a-key", base_url=api.url, strict=False)


def sent(tracker, api):
    """Return name or kind, user and account of each request that arrived."""
    assert tracker.flush(20)
    return [
        (request.json.get("name") or request.path, *map(request.json["identification"].get, ("user", "account")))
        if request.path == "/track"
        else (request.path, request.json)
        for request in api.requests
    ]


def line_of(mark: str) -> str:
    lines = HERE.read_text(encoding="utf-8").splitlines()
    (number,) = (n for n, line in enumerate(lines, 1) if line.endswith(f"# {mark}"))
    return f"{HERE.name}:{number}"


# ── In strict mode ──


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, True), ({"strict": False}, False), ({"strict": False, "debug": True}, False), ({"strict": True}, True)],
    ids=repr,
)
def test_while_tests_run_wrong_values_raise_unless_it_is_set(settings, expected):
    tracker = journy_track.configure("a-key", base_url="http://127.0.0.1:9", **settings)
    assert tracker.strict is expected
    if expected:
        with pytest.raises(InvalidArgument):
            journy_track.track("")
        return
    journy_track.track("")
    assert tracker.stats().dropped == {"invalid": 1}


PROGRAM = """
import sys
import journy_track
{configure}
try:
    with journy_track.user(""):
        journy_track.track("")
    print("went on")
except journy_track.InvalidArgument:
    print("raised")
"""
LOCAL = "base_url='http://127.0.0.1:9', shutdown_timeout=0"


@pytest.mark.parametrize(
    ("configure", "environment", "says"),
    [
        ("", {}, "went on"),
        ("journy_track.configure(enabled=False)", {}, "went on"),
        (f"journy_track.configure({LOCAL})", {}, "went on"),
        (f"journy_track.configure({LOCAL}, debug=True)", {}, "raised"),
        (f"journy_track.configure({LOCAL})", {"JOURNY_STRICT": "1"}, "raised"),
        (f"journy_track.configure({LOCAL}, debug=True)", {"JOURNY_STRICT": "0"}, "went on"),
        ("events = journy_track.testing.capture(); events.__enter__()", {}, "raised"),
    ],
)
def test_in_production_they_do_not(run_program, configure, environment, says):
    ran = run_program(PROGRAM.format(configure=configure), **environment)
    assert ran.out == f"{says}\n", ran.err


# ── Outside strict mode ──


def test_a_wrong_time_is_now(lenient, api):
    before = datetime.now(UTC)
    journy_track.track("invited", user="u1", happened_at="2026-01-01T00:00:00Z")
    assert lenient.flush(20)
    (event,) = api.events
    assert datetime.fromisoformat(event.triggered_at) >= before.replace(microsecond=0)
    assert lenient.stats().captured == 1


@pytest.mark.parametrize(
    "wrong", ["", 1.5, True, b"u2", [], object(), AccountIdentified("a")], ids=lambda value: type(value).__name__
)
def test_an_event_with_a_wrong_user_is_never_the_contexts_users(lenient, api, wrong):
    with journy_track.user("admin"):
        journy_track.track("invited", user=wrong)
        journy_track.track("invited", user=wrong, account="acme")
        with journy_track.account("globex"):
            journy_track.track("invited", user=wrong)
    assert sent(lenient, api) == [
        ("invited", None, {"accountId": "acme"}),
        ("invited", None, {"accountId": "globex"}),
    ]
    assert lenient.stats().dropped == {"invalid": 1}


def test_an_event_with_a_wrong_account_is_the_users_alone(lenient, api):
    with journy_track.account("acme"):
        journy_track.track("invited", user="u1", account="")
        journy_track.track("invited", account=2.5)
        with journy_track.user("u2"):
            journy_track.track("invited", account=2.5)
    assert sent(lenient, api) == [("invited", {"userId": "u1"}, None), ("invited", {"userId": "u2"}, None)]
    assert lenient.stats().dropped == {"invalid": 1}


def test_what_is_not_a_mapping_is_left_out_but_for_what_may_be_an_id(lenient, api):
    with journy_track.user("admin"):
        journy_track.track("searched", ["a", "list"], page=2)
        journy_track.track("invited", "u2")
        journy_track.upsert_user("u2", full_name="Jane")
        journy_track.upsert_user(["a", "list"], full_name="Joe")
        journy_track.track("invited", "u2", user="u3")
    assert sorted(sent(lenient, api)) == [  # of different users, in any order
        ("/users/upsert", {"identification": {"userId": "admin"}, "properties": {"full_name": "Joe"}}),
        ("invited", {"userId": "u3"}, None),
        ("searched", {"userId": "admin"}, None),
    ]
    assert lenient.stats().dropped == {"invalid": 2}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: journy_track.track(None, user="u1"), "invalid"),
        (lambda: journy_track.track("", user="u1"), "invalid"),
        (lambda: journy_track.link(5, user="u1"), "invalid"),
        (lambda: journy_track.link("device", user=""), "invalid"),
        (lambda: journy_track.upsert_user(user="", plan="pro"), "invalid"),
        (lambda: journy_track.upsert_user(user="u2", user_id="u3"), "invalid"),
        (lambda: journy_track.upsert_account(account_id=1.5), "invalid"),
        (lambda: journy_track.delete_user(None), "invalid"),
        (lambda: journy_track.delete_account(""), "invalid"),
        (lambda: journy_track.add_users_to_account(None, ["u1"]), "invalid"),
        (lambda: journy_track.add_users_to_account("acme", "u1"), "invalid"),
        (lambda: journy_track.remove_users_from_account("acme", [None, ""]), "invalid"),
        (lambda: journy_track.add_users_to_account("acme", (1 / 0 for _ in "ab")), "invalid"),
        (track_event("invited", user=lambda call: "")(lambda: None), "invalid"),
    ],
)
def test_what_means_nothing_without_it_is_dropped_and_counted(lenient, api, call, reason):
    with journy_track.user("admin"), journy_track.account("globex"):
        call()
    assert sent(lenient, api) == []
    assert lenient.stats().dropped == {reason: 1}
    assert lenient.stats().captured == 1


def test_a_membership_goes_on_without_the_users_that_are_not(lenient, api):
    journy_track.add_users_to_account("acme", (user for user in ("u1", None, "", 2.5, "u2")))
    assert lenient.flush(20)
    (request,) = api.requests
    assert request.json["users"] == [{"identification": {"userId": "u1"}}, {"identification": {"userId": "u2"}}]


@pytest.mark.parametrize("flag", ["later", 1, object()], ids=lambda value: type(value).__name__)
def test_a_wrong_flag_waits_for_the_commit_where_it_is_true(lenient, api, flag):
    journy_track.track("paid", user="u1", after_commit=flag)  # outside a transaction: at once
    assert sent(lenient, api) == [("paid", {"userId": "u1"}, None)]


# ── Blocks ──


@pytest.mark.parametrize(
    "wrong", ["", 1.5, object(), b"x", AccountIdentified("a")], ids=lambda value: type(value).__name__
)
def test_a_block_with_a_wrong_user_has_nobody(lenient, wrong):
    with journy_track.user("admin"):
        with journy_track.user(wrong) as context:
            assert context.user is None
        with journy_track.scope():
            journy_track.set_user("admin")
            journy_track.set_user(wrong)
            assert journy_track.current_context().user is None


def test_a_block_with_a_wrong_account_has_none(lenient):
    with journy_track.account("acme"), journy_track.account(UserIdentified("u1")) as context:
        assert context.account is None
    with journy_track.scope():
        journy_track.set_account("acme")
        journy_track.set_account("")
        assert journy_track.current_context().account is None


def test_an_id_counts_without_what_is_wrong_beside_it(lenient):
    with journy_track.user("u1", email=5) as context:
        assert context.user == UserIdentified("u1")
    with journy_track.account(AccountIdentified("acme"), domain="acme.com") as context:
        assert context.account == AccountIdentified("acme")


def test_metadata_that_is_not_a_mapping_leaves_the_keywords(lenient):
    with journy_track.metadata("plan", channel="web") as context, journy_track.scope(inherit=True):
        assert context.metadata == {"channel": "web"}
        journy_track.add_metadata(["x"], page=1)
        assert journy_track.current_context().metadata == {"channel": "web", "page": 1}


def test_a_scope_with_a_wrong_option_inherits_nothing(lenient):
    with journy_track.user("u1"), journy_track.scope(inherit="yes") as context:
        assert context.user is None


class Unreadable:
    """A lazy object whose source is not reachable."""

    def __getattribute__(self, name):
        raise ConnectionError(name)


class Registry(type):
    """A metaclass through which its classes look up attributes, and which makes them unhashable."""

    __hash__ = None

    def __getattr__(cls, name):
        raise KeyError(name)


class Registered(metaclass=Registry):
    pass


def test_what_cannot_even_be_looked_at_is_a_wrong_value_too(lenient):
    with journy_track.scope(inherit=Unreadable()), journy_track.metadata(Registered(), plan=Registered()):
        journy_track.add_metadata(plan=Registered())
        assert journy_track.current_context() == journy_track.Context()
    assert type(journy_track.in_context(Registered)()) is Registered


def test_what_cannot_be_called_is_left_to_whoever_calls_it(lenient):
    assert journy_track.in_context(None) is None


@pytest.mark.parametrize(
    "block",
    [
        lambda: journy_track.user(""),
        lambda: journy_track.account(1.5),
        lambda: journy_track.metadata("plan"),
        lambda: journy_track.scope(inherit="yes"),
    ],
)
def test_a_decorator_is_code_and_raises_where_it_is_written(lenient, block):
    with pytest.raises(InvalidArgument):
        block()(lambda: None)
    with pytest.raises(InvalidArgument):
        track_event(1.5)


# ── What is logged ──


@pytest.mark.parametrize("verb", [journy_track.user, journy_track.account, journy_track.metadata])
def test_a_block_as_decorator_without_a_call_raises_where_it_is_written(lenient, verb):
    with pytest.raises(InvalidArgument, match="got function"):

        @verb
        def work():
            pass

    def named():
        pass

    with verb(named):  # a value, as in user(current_user.get_id)
        pass


def test_it_is_logged_with_its_place_in_the_users_code_and_without_what_was_passed(lenient, caplog):
    journy_track.track("invited", account="acme", user="u1", happened_at="jane@acme.com")  # an invalid time
    with journy_track.user(b"jane@acme.com"):  # an invalid user
        pass
    first, second = (record.getMessage() for record in caplog.records)
    assert first == (
        f"wrong value in track() at tests/capture/{line_of('an invalid time')}: "
        "happened_at must be a datetime, got str; it was recorded without happened_at"
    )
    assert second.startswith(
        f"wrong value in user() at tests/capture/{line_of('an invalid user')}: user_id must be an ID"
    )
    assert second.endswith("; no user is set there")
    assert "jane" not in caplog.text


@pytest.fixture
def limit(monkeypatch):
    """The limit of log lines, with a clock that the test advances by setting `now[0]`."""
    now = [1000.0]
    monkeypatch.setattr(mistakes, "monotonic", lambda: now[0])
    monkeypatch.setattr(mistakes, "_limiter", mistakes._Limiter())
    return now


def test_the_same_mistake_is_logged_once_a_minute_with_a_count(lenient, caplog, limit):
    def call():
        journy_track.track("", user="u1")

    for _ in range(5):
        call()
    limit[0] += 60
    call()
    first, second = (record.getMessage() for record in caplog.records)
    assert "more wrong values" not in first
    assert second.endswith("(4 more wrong values were not logged.)")
    assert lenient.stats().dropped == {"invalid": 6}


def test_all_mistakes_together_are_a_few_lines_a_minute(lenient, caplog, limit):
    for number in range(100):
        exec(compile("journy_track.track('')", f"made_{number}.py", "exec"), {"journy_track": journy_track})
    assert len(caplog.records) == mistakes.MAX_LINES
    limit[0] += 60
    journy_track.track("")
    assert (
        caplog.records[-1].getMessage().endswith(f"({100 - mistakes.MAX_LINES} more wrong values were not logged.)")
    )


def test_a_disabled_tracker_logs_nothing(caplog):
    journy_track.configure(enabled=False, strict=False)
    journy_track.track("")
    journy_track.delete_user(None)
    journy_track.add_users_to_account("acme", "u1")
    assert not caplog.records


def test_before_configure_it_is_the_hint_that_is_logged(run_program):
    ran = run_program("import journy_track\njourny_track.track('')\njourny_track.track('')")
    assert ran.status == 0
    assert len(re.findall("nothing is captured before journy_track.configure", ran.err)) == 1
