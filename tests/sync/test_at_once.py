"""Two syncs with one state: one works, and the other reports it or waits. A killed sync does not block others."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

import journy_track
from journy_track import JournyError
from journy_track._model.secret import Secret
from journy_track._state.alone import AloneInRedis
from journy_track._state.redis import RedisDigests
from tests.redis_server import redis_server
from tests.timing import eventually

#: Its rows do not end until the file exists, so that the sync is in progress until then.
PROGRAM = """
    import sys, threading
    from pathlib import Path
    import journy_track

    url, place, going_on, kind = sys.argv[1:]
    journy_track.configure("test-key-0123456789", base_url=url, broker=place if "://" in place else None)

    def rows():
        for number in range(20):
            yield f"a{number}", {"plan": "pro"}
        while not Path(going_on).exists():
            threading.Event().wait(0.05)

    print(getattr(journy_track, kind)(rows(), state=None if "://" in place else place))
"""
ROWS = [(f"a{number}", {"plan": "pro"}) for number in range(20)]


@pytest.fixture
def state(tmp_path):
    return tmp_path / "journy.state"


@pytest.fixture
def start(api, start_program, tmp_path):
    def started(place, kind="sync_accounts"):
        process = start_program(PROGRAM, api.url, str(place), str(tmp_path / "go on"), kind)
        eventually(lambda: len(api.requests) >= 20 or process.poll() is not None)
        return process

    return started


def sent(api):
    return Counter(request.json["identification"]["accountId"] for request in api.requests)


@pytest.mark.slow
def test_the_second_raises_and_names_the_first(api, tracker, start, state, tmp_path):
    first = start(state)
    with pytest.raises(JournyError, match=rf"another sync is using this state: process {first.pid} on .+, since "):
        journy_track.sync_accounts(ROWS, state=state)
    (tmp_path / "go on").touch()
    assert first.wait(60) == 0
    assert set(sent(api).values()) == {1}
    assert journy_track.sync_accounts(ROWS, state=state).unchanged == 20
    assert [path.name for path in tmp_path.glob("*.lock")] == []


@pytest.mark.slow
def test_it_waits_where_it_is_told_to_and_sends_nothing_twice(api, tracker, start, state, tmp_path, caplog):
    first = start(state)
    reports = []
    waiting = threading.Thread(
        target=lambda: reports.append(journy_track.sync_accounts(ROWS, state=state, wait=60)), daemon=True
    )
    waiting.start()
    eventually(lambda: "waiting for another sync" in caplog.text)
    (tmp_path / "go on").touch()
    waiting.join(60)
    assert first.wait(60) == 0
    assert reports[0].unchanged == 20
    assert set(sent(api).values()) == {1}


@pytest.mark.slow
def test_one_that_was_killed_holds_nobody_up(api, tracker, start, state):
    first = start(state)
    first.kill()
    first.wait(10)
    assert state.with_name("journy.state.accounts.lock").exists()
    report = journy_track.sync_accounts(ROWS, state=state)
    assert report.captured == report.delivered + report.unchanged == 20
    assert not state.with_name("journy.state.accounts.lock").exists()


@pytest.mark.slow
def test_users_and_a_dry_run_go_beside_a_sync_of_accounts(api, tracker, start, state):
    start(state)
    assert journy_track.sync_users([("u1", {"plan": "pro"})], state=state).delivered == 1
    assert journy_track.sync_accounts(ROWS, state=state, dry_run=True).captured == 20


def test_a_lock_is_gone_after_an_error_in_the_rows(api, tracker, state):
    def rows():
        yield "a1", {"plan": "pro"}
        raise KeyError("a row")

    with pytest.raises(KeyError):
        journy_track.sync_accounts(rows(), state=state)
    assert journy_track.sync_accounts(ROWS, state=state).captured == 20


def test_what_is_not_a_lock_of_ours_stays_as_it_is(api, tracker, state):
    other = state.with_name("journy.state.accounts.lock")
    other.write_text("of somebody else")
    with pytest.raises(journy_track.ConfigurationError, match="not a lock of journy_track"):
        journy_track.sync_accounts(ROWS, state=state)
    assert other.read_text() == "of somebody else"
    assert api.requests == []


@pytest.mark.slow
def test_with_a_state_in_redis_it_is_the_same(api, start, tmp_path):
    pytest.importorskip("redis")
    with redis_server() as url:
        journy_track.configure("test-key-0123456789", base_url=api.url, broker=url)
        first = start(url)
        with pytest.raises(JournyError, match=rf"process {first.pid} on "):
            journy_track.sync_accounts(ROWS)
        (tmp_path / "go on").touch()
        assert first.wait(60) == 0
        assert journy_track.sync_accounts(ROWS).unchanged == 20
        assert set(sent(api).values()) == {1}


@pytest.mark.slow
def test_a_lease_in_redis_is_renewed_and_ends_when_nobody_renews_it():
    redis = pytest.importorskip("redis")
    with redis_server() as url:
        first, second, third = (AloneInRedis(RedisDigests(Secret(url)), "accounts", seconds=1.5) for _ in range(3))
        assert first.take() is None
        client = redis.Redis.from_url(url)
        (lease,) = client.scan_iter("*:lease:accounts")
        for _ in range(2):
            client.pexpire(lease, 1000)
            eventually(lambda: client.pttl(lease) > 1100)
        client.close()
        assert "process" in (second.take() or "")
        first._ended.set()  # as if it were killed: nothing is renewed or released
        first._thread.join(10)
        eventually(lambda: third.take() is None)
        for one in (first, second, third):
            one.release()
