"""skip_unchanged_state: what journy.io has confirmed is not sent again, even after a restart."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import ConfigurationError, Tracker
from journy_track._state.sqlite import SqliteDigests

KEY = "test-key-0123456789"
DAY = 24 * 3600.0


@pytest.fixture
def restarted(api, tmp_path):
    """Starts processes that share the state, one after the other."""
    started: list[Tracker] = []

    def start(**settings):
        for tracker in started:
            assert tracker.shutdown(10)
        options = {"base_url": api.url, "skip_unchanged": DAY, "skip_unchanged_state": tmp_path / "state"} | settings
        started.append(Tracker(options.pop("api_key", KEY), **options))
        return started[-1]

    yield start
    for tracker in started:
        tracker.shutdown(0)


def test_an_upsert_that_was_confirmed_is_not_sent_again_after_a_restart(api, restarted):
    restarted().upsert_user(user="u1", plan="pro")
    tracker = restarted()
    tracker.upsert_user(user="u1", plan="pro")
    assert tracker.flush(10)
    assert len(api.requests) == 1
    assert tracker.stats().unchanged == 1


def test_one_that_differs_is_sent(api, restarted):
    restarted().upsert_account(account_id="acme", seats=1)
    restarted().upsert_account(account_id="acme", seats=True)
    restarted().shutdown(10)
    assert len(api.requests) == 2


def test_one_that_was_not_confirmed_is_sent_again(api, restarted):
    api.answer_next(400)
    restarted().upsert_user(user="u1", plan="pro")
    restarted().upsert_user(user="u1", plan="pro")
    restarted().shutdown(10)
    assert [request.status for request in api.requests] == [400, 201]


def test_a_delete_in_between_forgets(api, restarted, monkeypatch):
    restarted().upsert_user(user="u1", plan="pro")
    deleting, forgotten, forget = restarted(), [], SqliteDigests.forget

    def noted(digests, names):
        forgotten.append(set(names))
        forget(digests, names)

    monkeypatch.setattr(SqliteDigests, "forget", noted)
    deleting.delete_user("u1")
    restarted().upsert_user(user="u1", plan="pro")
    restarted().shutdown(10)
    assert [request.method for request in api.requests] == ["POST", "DELETE", "POST"]
    assert len(forgotten) == 1  # each is a transaction


def test_what_is_on_its_way_counts_as_unknown_when_the_process_dies(api, restarted, gate):
    restarted().upsert_user(user="u1", plan="pro")
    killed = restarted(http_client=gate, shutdown_timeout=0)
    killed.upsert_user(user="u1", plan="free")
    assert gate.entered.wait(10)
    tracker = Tracker(  # without shutting the other down: it counts as killed
        KEY, base_url=api.url, skip_unchanged=DAY, skip_unchanged_state=killed.config.skip_unchanged_state
    )
    tracker.upsert_user(user="u1", plan="pro")  # it is unknown whether journy.io has that, or `free`
    assert tracker.shutdown(10)
    assert len(api.requests) == 2


def test_a_name_must_stand_for_the_same_upsert(api, restarted):
    restarted().upsert_user(user_id="u1", email="jane@acme.com", plan="pro")
    restarted().upsert_user(email="jane@acme.com", plan="free")
    restarted().upsert_user(user_id="u1", email="jane@acme.com", plan="pro")
    restarted().shutdown(10)
    assert len(api.requests) == 3


def test_another_key_starts_anew(api, restarted):
    restarted().upsert_user(user="u1", plan="pro")
    restarted(api_key="another-key-0123456789").upsert_user(user="u1", plan="pro")
    restarted().shutdown(10)
    assert len(api.requests) == 2


def test_without_skipping_the_state_is_kept_for_others(api, restarted):
    restarted(skip_unchanged=0).upsert_user(user="u1", plan="pro")
    restarted(skip_unchanged=0).upsert_user(user="u1", plan="pro")
    restarted().upsert_user(user="u1", plan="pro")
    restarted().shutdown(10)
    assert len(api.requests) == 2


def test_properties_that_were_not_taken_are_sent_again(api, restarted):
    rejected = {"meta": {"status": 201, "requestId": "r"}, "rejected": {"plan": "no such plan"}}
    api.answer_next(201, body=rejected)
    tracker = restarted()
    tracker.upsert_user(user="u1", plan="pro")
    assert tracker.flush(10)
    assert tracker.recent()[-1].rejected
    restarted().upsert_user(user="u1", plan="pro")
    restarted().shutdown(10)
    assert len(api.requests) == 2


def test_batches_are_kept_too(api, restarted):
    settings = {"api_key": None, "write_key": "write-key"}
    tracker = restarted(**settings)
    for number in range(300):
        tracker.upsert_account(account_id=f"a{number}", plan="pro")
    assert tracker.flush(10)
    tracker = restarted(**settings)
    for number in range(300):
        tracker.upsert_account(account_id=f"a{number}", plan="pro" if number else "free")
    assert tracker.flush(10)
    assert (tracker.stats().delivered, tracker.stats().unchanged) == (1, 299)


def test_a_state_that_cannot_be_used_costs_only_what_it_saved(api, restarted, tmp_path, caplog):
    (tmp_path / "state").mkdir()
    tracker = restarted()
    for _ in range(2):
        tracker.upsert_user(user="u1", plan="pro")
        assert tracker.flush(10)
    assert len(api.requests) == 2
    assert caplog.text.count("the record of what journy.io confirmed cannot be used") == 1


def test_each_has_a_time_of_its_own(api, tmp_path):
    now = [1_000_000.0]
    from journy_track._delivery.ways import unchanged_of
    from journy_track._model.config import Config
    from journy_track._model.identity import AccountIdentified
    from journy_track._model.items import UpsertAccount
    from journy_track._model.notices import Notices

    config = Config.load(KEY, {"skip_unchanged": 30 * DAY, "skip_unchanged_state": tmp_path / "state"})
    kept = unchanged_of(config, Notices(), wall=lambda: now[0])
    items = [UpsertAccount(AccountIdentified(f"a{number}"), {"plan": "pro"}) for number in range(300)]
    for number, item in enumerate(items):
        kept.is_unchanged(item, number, 0.0)
        kept.confirmed(item, number, 0.0)
    kept.save()
    due = {}
    for day in (14, 18, 22, 26, 30):
        now[0] = 1_000_000.0 + day * DAY
        due[day] = sum(not kept._counts(*of(kept, item)) for item in items)
    kept.close()
    assert due[14] == 0
    assert due[30] == 300
    assert 40 < due[18] < 120
    assert 180 < due[26] < 260


@pytest.mark.parametrize("save", [True, False])
def test_what_could_not_be_saved_yet_is_saved_at_the_end_if_it_is_still_valid(tmp_path, save):
    from journy_track._delivery.ways import unchanged_of
    from journy_track._model.config import Config
    from journy_track._model.identity import UserIdentified
    from journy_track._model.items import UpsertUser
    from journy_track._model.notices import Notices

    config = Config.load(KEY, {"skip_unchanged": DAY, "skip_unchanged_state": tmp_path / "state"})
    item = UpsertUser(UserIdentified("u1"), {"plan": "pro"})
    kept, after = unchanged_of(config, Notices()), unchanged_of(config, Notices())
    kept.is_unchanged(item, 1, 0.0)
    kept.confirmed(item, 1, 0.0)
    kept.close(save=save)
    assert after.is_unchanged(item, 1, 0.0) is save
    after.close()


def of(kept, item):
    hasher = kept._hashes()
    (name,) = kept._names(item, hasher)
    return name, kept._digests.find([name])[name], hasher.of_body(item.body())


def test_the_setting_is_a_path():
    with pytest.raises(ConfigurationError, match="skip_unchanged_state must be the path of a file"):
        journy_track.configure(KEY, skip_unchanged_state=7)
