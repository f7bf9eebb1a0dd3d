"""`sync_accounts()` and `sync_users()`: differences are sent once, and what was confirmed is remembered."""

from __future__ import annotations

import math
import signal
import threading
from datetime import timedelta
from decimal import Decimal

import pytest

import journy_track
from journy_track import (
    AccountIdentified,
    ConfigurationError,
    InvalidArgument,
    JournyError,
    Report,
    UserIdentified,
)
from journy_track._state.sqlite import SqliteDigests
from journy_track._stores.sqlite.errors import SpoolError
from tests.redis_server import redis_server
from tests.timing import eventually

KEY = "test-key-0123456789"


def rows(count, **changed):
    return ((f"a{number}", {"plan": changed.get(f"a{number}", "pro"), "seats": number}) for number in range(count))


@pytest.fixture
def state(tmp_path):
    return tmp_path / "journy.state"


def test_the_first_sync_sends_all_and_the_second_what_changed(api, tracker, state):
    first = journy_track.sync_accounts(rows(50), state=state)
    assert (first.captured, first.delivered, first.unchanged, first.ok) == (50, 50, 0, True)
    second = journy_track.sync_accounts(rows(50, a7="free", a8="free"), state=state)
    assert (second.captured, second.delivered, second.unchanged, second.ok) == (50, 2, 48, True)
    assert len(api.requests) == 52
    assert {account.properties["plan"] for account in api.accounts if account.account_id in ("a7", "a8")} == {"free"}


def test_users_are_synced_as_well(api, tracker, state):
    people = [("u1", {"plan": "pro"}), (UserIdentified("u2", "jane@acme.com"), {}), {"email": "joe@acme.com", "a": 1}]
    assert journy_track.sync_users(people, state=state).delivered == 3
    assert journy_track.sync_users(people, state=state).unchanged == 3
    assert [user.email for user in api.users] == [None, "jane@acme.com", "joe@acme.com"]


def test_a_mapping_is_a_row(api, tracker, state):
    records = [{"account_id": "acme", "domain": "acme.com", "plan": "pro"}, {"domain": "other.com", "plan": "free"}]
    assert journy_track.sync_accounts(records, state=state).delivered == 2
    assert api.requests[0].json == {
        "identification": {"accountId": "acme", "domain": "acme.com"},
        "properties": {"plan": "pro"},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        ["acme"],
        [None],
        [("acme",)],
        [("acme", "pro")],
        [{"id": "acme"}],
        "acme",
        {"acme": {}},
        [("a", {}, 1)],
        None,
        5,
    ],
    ids=str,
)
def test_what_is_not_a_row_raises_and_says_what_is(tracker, state, wrong):
    with pytest.raises(InvalidArgument, match="A row is \\(identity, properties\\)"):
        journy_track.sync_accounts(wrong, state=state)


def test_what_is_not_a_row_is_described_without_its_values(tracker, state):
    with pytest.raises(InvalidArgument, match="row 2 is a tuple of \\(str, None\\)") as raised:
        journy_track.sync_accounts([("a", {}), ("secret", None)], state=state)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("nobody", [(None, {"plan": "pro"}), {"account_id": None, "plan": "pro"}], ids=str)
def test_the_first_row_without_an_identity_is_named_by_its_number(api, state, caplog, nobody):
    journy_track.configure(KEY, base_url=api.url, strict=False)
    report = journy_track.sync_accounts([(0, {}), ("a", {}), nobody, nobody], state=state)
    assert (report.delivered, report.dropped) == (2, {"no_identity": 2})
    named = [record.getMessage() for record in caplog.records if "has no identity" in record.getMessage()]
    (line,) = named
    assert line.startswith("sync_accounts(): row 3 has no identity and is dropped, as is every other such row. Leave")


def test_a_row_with_a_wrong_value_is_dropped_and_counted(api, state):
    journy_track.configure(KEY, base_url=api.url, strict=False)
    mixed = [("", {"plan": "pro"}), (None, {}), {"account_id": math.nan, "plan": "pro"}, (AccountIdentified("b"), {})]
    with journy_track.account("of_the_context"):
        report = journy_track.sync_accounts(mixed, state=state)
    assert report.captured == 4
    assert report.delivered == 1
    assert sum(report.dropped.values()) == 3
    assert [account.account_id for account in api.accounts] == ["b"]


def test_a_dry_run_sends_nothing_and_counts(api, tracker, state):
    journy_track.sync_accounts(rows(10), state=state)
    for _ in range(2):
        dry = journy_track.sync_accounts(rows(12, a1="free"), state=state, dry_run=True)
        assert (dry.would_send, dry.unchanged, dry.delivered) == (3, 9, 0)
    assert len(api.requests) == 10


def test_a_dry_run_waits_for_no_budget(tracker, state):
    assert journy_track.sync_accounts(rows(1500), state=state, dry_run=True).seconds < 15


@pytest.mark.parametrize("nothing", [None, 3], ids=str)
def test_what_yields_no_rows_raises_and_says_so(tracker, state, nothing):
    with pytest.raises(InvalidArgument, match="rows must be an iterable of rows"):
        journy_track.sync_accounts(nothing, state=state)


def test_everything_can_be_sent_again(api, tracker, state):
    journy_track.sync_accounts(rows(10), state=state)
    assert journy_track.sync_accounts(rows(10), state=state, everything=True).delivered == 10
    assert journy_track.sync_accounts(rows(10), state=state).unchanged == 10


def test_what_is_too_old_is_sent_again(api, tracker, state):
    journy_track.sync_accounts(rows(10), state=state)
    assert journy_track.sync_accounts(rows(10), state=state, max_age=timedelta(days=1)).unchanged == 10
    assert journy_track.sync_accounts(rows(10), state=state, max_age=1e-6).delivered == 10


def test_a_delete_by_the_app_is_known(api, state):
    journy_track.configure(KEY, base_url=api.url, skip_unchanged_state=state)
    journy_track.sync_accounts(rows(3))
    journy_track.delete_account("a1")
    assert journy_track.flush(10)
    assert journy_track.sync_accounts(rows(3)).delivered == 1


def test_an_upsert_by_the_app_is_known(api, state):
    journy_track.configure(KEY, base_url=api.url, skip_unchanged_state=state)
    journy_track.sync_accounts(rows(3))
    journy_track.upsert_account(account_id="a1", plan="trial")
    assert journy_track.flush(10)
    assert journy_track.sync_accounts(rows(3)).delivered == 1


def test_what_was_given_up_is_sent_again(api, tracker, state):
    api.answer_next(400)
    report = journy_track.sync_accounts(rows(3), state=state)
    assert (report.delivered, sum(report.given_up.values()), report.ok) == (2, 1, False)
    assert journy_track.sync_accounts(rows(3), state=state).delivered == 1


def test_the_apps_own_numbers_are_its_own(api, tracker, state):
    journy_track.sync_accounts(rows(20), state=state)
    assert tracker.stats().captured == 0


def test_with_a_write_key_it_goes_in_batches(api, state):
    journy_track.configure(write_key="write-key", base_url=api.url)
    assert journy_track.sync_accounts(rows(3000), state=state).delivered == 3000
    assert sum(request.path.endswith("/batch") for request in api.requests) <= 4
    assert journy_track.sync_accounts(rows(3000), state=state).unchanged == 3000


def test_ctrl_c_ends_it_and_the_next_run_goes_on(api, state, caplog):
    journy_track.configure(KEY, base_url=api.url, max_connections=2)
    main = threading.main_thread().ident
    assert main is not None

    def endless():
        for number in range(100_000):
            if number == 6000:  # the queue holds 5000
                signal.pthread_kill(main, signal.SIGINT)
            yield f"a{number}", {"plan": "pro"}

    with pytest.raises(KeyboardInterrupt):
        journy_track.sync_accounts(endless(), state=state)
    assert "Run it again: what journy.io confirmed is not sent again." in caplog.text
    assert "could not be delivered" not in caplog.text
    confirmed = len(api.requests)
    assert 900 < confirmed < 6000
    report = journy_track.sync_accounts(rows_up_to(confirmed), state=state)
    assert report.unchanged >= confirmed - 2


def rows_up_to(count):
    return ((f"a{number}", {"plan": "pro"}) for number in range(count))


def test_an_exception_of_the_rows_passes_and_what_was_confirmed_stays(api, tracker, state):
    def broken():
        yield from rows(10)
        eventually(lambda: len(api.requests) == 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journy_track.sync_accounts(broken(), state=state)
    assert journy_track.sync_accounts(rows(10), state=state).unchanged == 10


def test_a_refused_key_ends_it(api, state):
    api.answer_next(401, count=50)
    journy_track.configure(KEY, base_url=api.url)
    report = journy_track.sync_accounts(rows(10_000), state=state)
    assert report.stopped == "the key is refused"
    assert not report.ok
    assert report.captured < 10_000


def test_it_needs_a_state(tracker):
    with pytest.raises(ConfigurationError, match="pass state="):
        journy_track.sync_accounts([])


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0},
        {"share": 2},
        {"max_age": -1},
        {"patience": "1"},
        {"dry_run": 1},
        {"everything": "no"},
        {"state": 3},
    ],
    ids=str,
)
def test_a_wrong_argument_raises_and_is_named(tracker, state, options):
    with pytest.raises(InvalidArgument, match=f"^{next(iter(options))} must be"):
        journy_track.sync_accounts([], **{"state": state, **options})


def test_an_event_loop_is_refused(tracker, state):
    import asyncio

    async def nightly():
        journy_track.sync_accounts([], state=state)

    with pytest.raises(JournyError, match="sync_accounts\\(\\) blocks, and must not be used on an event loop"):
        asyncio.run(nightly())


def test_a_disabled_tracker_syncs_nothing(state):
    journy_track.configure(enabled=False)
    assert journy_track.sync_accounts(rows(3), state=state) == Report()
    assert not state.exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_without_a_key_it_raises_and_names_the_remedy(state, dry_run):
    journy_track.configure()
    with pytest.raises(ConfigurationError, match=r"sync_accounts\(\) needs a key: set JOURNY_API_KEY"):
        journy_track.sync_accounts(rows(3), state=state, dry_run=dry_run)
    assert not state.exists()


def test_a_capturing_test_sees_the_rows(journy_events):
    journy_track.sync_accounts(rows(3))
    assert [item.account.account_id for item in journy_events] == ["a0", "a1", "a2"]


@pytest.mark.slow
def test_with_a_broker_the_digests_are_in_its_redis(api):
    pytest.importorskip("redis")
    with redis_server() as url:
        journy_track.configure(KEY, base_url=api.url, broker=url, shutdown_timeout=0)
        assert journy_track.sync_accounts(rows(30)).delivered == 30
        assert journy_track.sync_accounts(rows(30, a3="free")).delivered == 1
        journy_track.shutdown(0)


def test_with_a_broker_and_no_key_it_says_what_it_needs(state):
    pytest.importorskip("redis")
    journy_track.configure(broker="redis://127.0.0.1:1/0", shutdown_timeout=0)
    with pytest.raises(ConfigurationError, match="JOURNY_API_KEY"):
        journy_track.sync_accounts([], state=state)


@pytest.mark.parametrize("fails_at", [0, 3])
def test_one_write_that_fails_costs_no_confirmation(api, tracker, state, monkeypatch, fails_at):
    keep, calls = SqliteDigests.keep, []

    def busy_once(self, confirmed, /, until):
        calls.append(len(confirmed))
        if len(calls) == fails_at + 1:
            raise SpoolError("database is locked")
        keep(self, confirmed, until)

    monkeypatch.setattr(SqliteDigests, "keep", busy_once)
    assert journy_track.sync_accounts(rows(40), state=state).delivered == 40
    assert journy_track.sync_accounts(rows(40), state=state).unchanged == 40


def test_a_confirmation_that_waits_to_be_kept_gives_way_to_a_newer_upsert(api, state, monkeypatch):
    broken = True

    def keep(self, confirmed, /, until, kept=SqliteDigests.keep):
        if broken:
            raise SpoolError("database is locked")
        kept(self, confirmed, until)

    monkeypatch.setattr(SqliteDigests, "keep", keep)
    journy_track.configure(KEY, base_url=api.url, skip_unchanged_state=state)
    journy_track.upsert_account(account="a0", plan="pro")
    assert journy_track.flush(5)
    broken = False
    api.answer_next(400, {"message": "no", "meta": {"requestId": "r"}, "errors": {"fields": {}}}, containing="free")
    journy_track.upsert_account(account="a0", plan="free")
    journy_track.upsert_account(account="a1", plan="pro")
    assert journy_track.shutdown(5)
    journy_track.configure(KEY, base_url=api.url)
    report = journy_track.sync_accounts([("a0", {"plan": "pro"}), ("a1", {"plan": "pro"})], state=state)
    assert (report.delivered, report.unchanged) == (1, 1)


def test_what_a_dataframe_has_in_the_place_of_none_deletes_the_property(api, tracker, state):
    class NaTType:
        """Has the name that pandas uses."""

    records = [
        {
            "account_id": "a",
            "domain": math.nan,
            "plan": math.nan,
            "since": NaTType(),
            "mrr": Decimal("NaN"),
            "seats": 3,
        },
        {"account_id": math.nan, "domain": "b.com", "plan": "pro"},
    ]
    assert journy_track.sync_accounts(records, state=state).delivered == 2
    assert [request.json for request in api.requests] == [
        {"identification": {"accountId": "a"}, "properties": {"plan": None, "since": None, "mrr": None, "seats": 3}},
        {"identification": {"domain": "b.com"}, "properties": {"plan": "pro"}},
    ]


@pytest.mark.parametrize("where", ["folder", "nowhere/journy.state"])
def test_a_state_that_cannot_be_used_raises_before_anything_is_sent(api, tracker, tmp_path, where):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="cannot use its state"):
        journy_track.sync_accounts(rows(3), state=tmp_path / where)
    assert api.requests == []


def test_a_damaged_state_is_begun_anew(api, tracker, state):
    state.write_bytes(b"damaged" * 1000)
    assert journy_track.sync_accounts(rows(3), state=state).delivered == 3
    assert journy_track.sync_accounts(rows(3), state=state).unchanged == 3
