"""configure(): the global tracker, the arguments it accepts, and what it replaces."""

from __future__ import annotations

import dataclasses
import pickle
import threading
from pathlib import Path

import pytest

import journy_track
from journy_track import ConfigurationError, Tracker, _runtime, track_event
from journy_track._model.config import Config


@track_event("signed_in", user="u1")
def sign_in() -> str:
    return "welcome"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


# ── Before configure() ──


def test_before_configure_everything_is_a_no_op_and_the_first_use_warns_once(caplog):
    journy_track.track("signed_in", user="u1")
    journy_track.upsert_user(user="u1")
    assert sign_in() == "welcome"
    assert journy_track.flush(0)
    assert journy_track.shutdown(0)
    assert journy_track.stats() == journy_track.Stats()
    assert journy_track.recent() == []
    assert journy_track.get_tracker() is None
    (warning,) = warnings(caplog)
    assert "before journy_track.configure()" in warning
    assert "configure(enabled=False)" in warning


def test_wrong_arguments_are_wrong_before_configure_too():
    with pytest.raises(journy_track.InvalidArgument):
        journy_track.track("")


def test_a_function_decorated_before_configure_records_after_it(api):
    tracker = journy_track.configure("a-key", base_url=api.url)
    assert sign_in() == "welcome"
    assert tracker.flush(5)
    assert api.events[0].name == "signed_in"


def test_a_function_used_before_configure_records_after_it(api):
    sign_in()
    tracker = journy_track.configure("a-key", base_url=api.url)
    sign_in()
    assert tracker.flush(5)
    assert len(api.events) == 1


def test_what_an_unusable_spool_left_in_memory_is_delivered_after_another_configure(api, gate, tmp_path):
    (tmp_path / "file").write_text("")
    spool = tmp_path / "file" / "spool"
    old = journy_track.configure("a-key", base_url=api.url, http_client=gate, spool=spool, max_connections=1)
    for _ in range(20):
        journy_track.track("signed_in", user="u1")
    assert gate.entered.wait(20)
    journy_track.configure("a-key", base_url=api.url)
    gate.opened.set()
    assert old.flush(20)
    assert old.stats().delivered == 20


# ── Captures while the first configure() runs ──


def test_what_is_captured_while_the_first_tracker_is_installed_is_delivered(api, monkeypatch):
    hand_over = _runtime._hand_over

    def as_a_signal_handler_would(config):
        hand_over(config)
        sign_in()
        journy_track.track("interrupted", user="u1")

    monkeypatch.setattr(_runtime, "_hand_over", as_a_signal_handler_would)
    tracker = journy_track.configure("a-key", base_url=api.url)
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["signed_in", "interrupted"]


def test_a_capture_between_the_tracker_and_its_recorder_is_delivered(api, tracker, monkeypatch):
    monkeypatch.setattr(_runtime._global, "recorder", _runtime._NotConfigured())
    journy_track.track("interrupted", user="u1")
    journy_track.track("in_a_transaction", user="u1", after_commit=True)
    _runtime.refuse("invalid")
    assert tracker.flush(5)
    assert [event.name for event in api.events] == ["interrupted", "in_a_transaction"]
    assert tracker.stats().dropped == {"invalid": 1}


def test_a_configure_that_overtakes_the_first_capture_stays_in_effect(api, monkeypatch):
    inherit = _runtime.inherit

    def overtaken():
        inherited = inherit()
        monkeypatch.undo()
        thread = threading.Thread(target=journy_track.configure, args=("a-key",), kwargs={"base_url": api.url})
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return inherited

    monkeypatch.setattr(_runtime, "inherit", overtaken)
    journy_track.track("first", user="u1")
    journy_track.track("second", user="u1")
    assert journy_track.flush(5)
    assert [event.name for event in api.events][-1:] == ["second"]


def test_a_capture_does_not_wait_for_a_configure_on_another_thread(api, monkeypatch):
    of, captured = Tracker.of.__func__, threading.Event()

    def during(config):
        thread = threading.Thread(target=lambda: (journy_track.track("too_early", user="u1"), captured.set()))
        thread.start()
        assert captured.wait(10)
        return of(Tracker, config)

    monkeypatch.setattr(Tracker, "of", during)
    journy_track.configure("a-key", base_url=api.url)
    journy_track.track("second", user="u1")
    assert journy_track.flush(5)
    assert [event.name for event in api.events] == ["second"]


# ── The docstring of configure() ──


def test_the_docstring_names_every_setting_and_the_guide_promises_the_same_of_the_spool():
    said = " ".join((journy_track.configure.__doc__ or "").split())
    assert [
        f.name
        for f in dataclasses.fields(Config)
        if f"*{f.name}*" not in said.replace("(item)*", "*").replace("(undelivered)*", "*").replace("(user)*", "*")
    ] == []
    page = Path(__file__).parent.parent / "docs" / "guides" / "delivery.md"
    guide = " ".join(page.read_text(encoding="utf-8").replace("*", "").split())
    promise = said[said.index("everything that was flushed, or captured") : said.index(" After a power failure")]
    assert promise in guide


# ── The environment ──


def test_a_variable_that_is_misspelt_is_logged_with_the_one_that_is_meant(monkeypatch, caplog):
    monkeypatch.setenv("JOURNY_SPOL", "/var/spool/shop")
    monkeypatch.setenv("JOURNY_THEME", "of the app's own")
    journy_track.configure(enabled=False)
    (line,) = warnings(caplog)
    assert line.startswith("JOURNY_SPOL is not a setting of journy_track, and is ignored: did you mean JOURNY_SPOOL?")


# ── The key ──


def test_without_a_key_one_warning_says_where_one_comes_from_and_nothing_is_captured(caplog):
    tracker = journy_track.configure()
    assert journy_track.configure() is tracker
    journy_track.track("signed_in", user="u1")
    sign_in()
    assert tracker.flush(0)
    assert tracker.stats().captured == 0
    (warning,) = warnings(caplog)
    for part in ("journy.io", "Settings", "Connections", "permission", "JOURNY_API_KEY", "JOURNY_ENABLED"):
        assert part in warning


def test_a_key_that_is_required_and_missing_raises():
    with pytest.raises(ConfigurationError, match="JOURNY_API_KEY"):
        journy_track.configure(required=True)
    assert journy_track.get_tracker() is None


def test_an_empty_key_raises():
    with pytest.raises(ConfigurationError, match="api_key"):
        journy_track.configure("")


def test_the_key_comes_from_the_environment_and_an_argument_wins(api, monkeypatch):
    monkeypatch.setenv("JOURNY_API_KEY", "from-environment")
    monkeypatch.setenv("JOURNY_BASE_URL", api.url)
    tracker = journy_track.configure()
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    tracker = journy_track.configure("from-argument")
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert [request.key for request in api.requests] == ["…ment", "…ment"]


def test_a_loopback_server_needs_no_key(api, caplog):
    tracker = journy_track.configure(base_url=api.url)
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    assert len(api.events) == 1
    assert not warnings(caplog)


def test_disabled_is_a_no_op_without_warning_and_without_thread(api, caplog):
    tracker = journy_track.configure("a-key", base_url=api.url, enabled=False)
    journy_track.track("signed_in", user="u1")
    assert sign_in() == "welcome"
    assert tracker.flush(0)
    assert tracker.shutdown(0)
    assert tracker.stats().captured == 0
    assert not warnings(caplog)
    assert not api.requests
    assert "journy_track" not in [thread.name for thread in threading.enumerate()]


def test_disabled_by_the_environment(api, monkeypatch):
    monkeypatch.setenv("JOURNY_ENABLED", "0")
    journy_track.configure("a-key", base_url=api.url)
    journy_track.track("signed_in", user="u1")
    assert journy_track.flush(0)
    assert not api.requests


# ── A second configure() ──


def test_the_same_settings_again_are_a_no_op(api, caplog):
    def scrub(item):
        return item

    first = journy_track.configure("a-key", base_url=api.url, metadata={"a": 1}, before_send=scrub)
    again = journy_track.configure("a-key", base_url=api.url, metadata={"a": 1}, before_send=scrub)
    assert first is again is journy_track.get_tracker()
    assert not warnings(caplog)


def test_other_settings_replace_the_tracker_which_delivers_what_it_holds(api, gate, balance, caplog):
    old = journy_track.configure("a-key", http_client=gate)
    for _ in range(3):
        journy_track.track("signed_in", user="u1")
    new = journy_track.configure("a-key", base_url=api.url)
    assert journy_track.get_tracker() is new is not old
    journy_track.track("signed_out", user="u1")
    old.track("too_late", user="u1")
    assert new.flush(5)
    assert [event.name for event in api.events] == ["signed_out"]

    gate.opened.set()
    assert old.flush(5)
    stats = balance(old, captured=4)
    assert (stats.delivered, stats.dropped, old.closed) == (3, {"closed": 1}, True)
    warning, late = warnings(caplog)
    assert "with a tracker that another configure() has replaced" in late
    assert warning.count("test_runtime.py:") == 2
    assert "configure() was called again with different settings" in warning


def test_a_tracker_that_was_replaced_ends_its_thread(api):
    old = journy_track.configure("a-key", base_url=api.url)
    journy_track.track("signed_in", user="u1")
    journy_track.configure(enabled=False)
    for thread in threading.enumerate():
        if thread.name == "journy_track":
            thread.join(5)
    assert "journy_track" not in [thread.name for thread in threading.enumerate()]
    assert old.stats().delivered == len(api.events) == 1


def test_configuring_again_at_the_same_place_does_not_warn(api, caplog):
    for number in range(3):
        journy_track.configure("a-key", base_url=api.url, metadata={"number": number})
    assert not warnings(caplog)


def test_configuring_after_shutdown_starts_anew(api, caplog):
    first = journy_track.configure("a-key", base_url=api.url)
    first.shutdown(5)
    second = journy_track.configure("a-key", base_url=api.url)
    assert first is not second
    journy_track.track("signed_in", user="u1")
    assert second.flush(5)
    assert len(api.events) == 1
    assert not warnings(caplog)


def test_a_wrong_setting_leaves_the_tracker_in_place(api):
    tracker = journy_track.configure("a-key", base_url=api.url)
    with pytest.raises(ConfigurationError, match="timeout"):
        journy_track.configure("a-key", timeout=-1)
    assert journy_track.get_tracker() is tracker
    assert not tracker.closed


def test_configure_does_not_wait_for_the_old_tracker(hung_server, api):
    journy_track.configure(base_url=hung_server)
    journy_track.track("signed_in", user="u1")
    done = threading.Event()
    threading.Thread(target=lambda: (journy_track.configure("a-key", base_url=api.url), done.set())).start()
    assert done.wait(4)  # shutdown_timeout is 5


def test_eight_threads_that_configure_alike_get_one_tracker(api):
    start, trackers = threading.Barrier(8), []

    def configure() -> None:
        start.wait()
        trackers.append(journy_track.configure("a-key", base_url=api.url))

    threads = [threading.Thread(target=configure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, trackers))) == 1


# ── Settings in effect ──


def test_configured_metadata_is_on_every_event_and_the_events_own_wins(api):
    journy_track.configure("a-key", base_url=api.url, metadata={"service": "web", "plan": "free"})
    with journy_track.user("u1"), journy_track.metadata(region="eu"):
        journy_track.track("signed_in", plan="pro")
    assert journy_track.flush(5)
    assert api.events[0].metadata == {"service": "web", "region": "eu", "plan": "pro"}


def test_debug_mode_raises_on_the_calling_thread_for_what_would_be_lost(api):
    journy_track.configure("a-key", base_url=api.url, debug=True)

    @track_event("signed_up")
    def sign_up() -> None: ...

    with pytest.raises(journy_track.InvalidArgument, match="neither user nor account"):
        journy_track.track("signed_in")
    with pytest.raises(journy_track.InvalidArgument, match="nan: "):
        journy_track.track("signed_in", user="u1", nan=float("nan"))
    with pytest.raises(journy_track.InvalidArgument, match="neither user nor account"):
        sign_up()
    assert journy_track.stats().captured == 0


def test_without_debug_mode_nothing_is_raised_for_what_is_lost(api, tracker, balance, caplog):
    journy_track.track("signed_in")
    journy_track.track("signed_in", user="u1", nan=float("nan"), kept=1)
    assert tracker.flush(5)
    assert api.events[0].metadata == {"kept": 1}
    assert balance(tracker, captured=2).dropped == {"no_identity": 1}
    assert any("'signed_in' has neither user nor account" in warning for warning in warnings(caplog))


# ── What is imported when ──


def test_importing_loads_nothing_that_is_not_needed(run_program):
    done = run_program(
        """
        import sys
        import journy_track

        def loaded(*names):
            return [name for name in names if name in sys.modules]

        assert not loaded("requests", "urllib3", "starlette", "typer", "rich", "opentelemetry"), loaded("requests")
        import threading
        assert threading.active_count() == 1
        journy_track.configure("a-key", base_url="http://127.0.0.1:9", shutdown_timeout=0)
        assert loaded("opentelemetry") and not loaded("requests", "opentelemetry.sdk")
        assert threading.active_count() == 1
        journy_track.track("nobody_did")
        assert journy_track.flush(5)
        assert not loaded("requests")
        journy_track.track("signed_in", user="u1")
        assert not journy_track.flush(0.5)
        assert loaded("requests")
        """
    )
    assert done.status == 0, done.err


# ── Names ──


@pytest.mark.parametrize(
    "name", ["ConfigurationError", "InvalidArgument", "JournyError", "MaybeSent", "NotSent", "TransportError"]
)
def test_an_error_shows_and_pickles_under_its_public_name(name):
    kind = getattr(journy_track, name)
    assert (kind.__module__, kind.__qualname__) == ("journy_track", name)
    assert type(pickle.loads(pickle.dumps(kind("no")))) is kind


@pytest.mark.parametrize(
    ("verb", "arguments"), [("track", ()), ("upsert_user", (1, 2, 3)), ("link", ()), ("delete_account", ())]
)
def test_a_call_with_wrong_arguments_is_named_as_it_was_called(verb, arguments):
    with pytest.raises(TypeError, match=rf"^{verb}\(\) "):
        getattr(journy_track, verb)(*arguments)
