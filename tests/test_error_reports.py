"""An error report, which includes local variables, never contains the API key."""

from __future__ import annotations

import gc
import json
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import journy_track
from journy_track import AsyncClient, Client, ClientConfig, HttpRequest, RequestsHttpClient, Tracker
from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track._stores.redis.connection import RedisConnection

from .error_reports import shown_by
from .timing import eventually

WRONG = {
    "a wrong number": lambda key: journy_track.configure(key, timeout=-1),
    "a wrong kind of number": lambda key: Tracker(key, queue_size="many"),
    "an unknown setting": lambda key: journy_track.configure(apikey=key),
    "a character that no header takes": lambda key: journy_track.configure(f"{key} ü"),
    "bytes": lambda key: Tracker(key.encode()),
    "as the URL": lambda key: journy_track.configure(base_url=key),
    "in the URL": lambda key: journy_track.configure("k", base_url=f"https://u:{key}@api.journy.io"),
    "a broker with a password": lambda key: journy_track.configure(broker=f"redis://:{key}@localhost", share=7),
    "a wrong broker with a password": lambda key: Tracker(broker=f"amqp://:{key}@localhost"),
    "a broker with an unknown option": lambda key: Tracker(broker=f"redis://:{key}@localhost/?no_such=1"),
    "plain http": lambda key: journy_track.configure(key, base_url="http://api.example"),
    "ClientConfig": lambda key: ClientConfig(key, timeout=-1),
    "ClientConfig with a URL": lambda key: ClientConfig("k", base_url=f"https://u:{key}@api.journy.io"),
    "Client.with_defaults": lambda key: Client.with_defaults(f"{key} {key}"),
    "AsyncClient.with_defaults": lambda key: AsyncClient.with_defaults(f"{key} {key}"),
    "verification_hash": lambda key: journy_track.verification_hash(None, key),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_reported_without_the_key(call, canary):
    with pytest.raises(journy_track.JournyError) as caught:
        call(canary)
    assert canary not in shown_by(caught.value)


@pytest.mark.parametrize("name", ["JOURNY_API_KEY", "JOURNY_BROKER_URL", "JOURNY_BASE_URL"])
def test_a_wrong_variable_is_reported_without_the_environment(name, canary, monkeypatch):
    monkeypatch.setenv(name, f"http://u:{canary}@host/ ü")
    with pytest.raises(journy_track.ConfigurationError) as caught:
        journy_track.configure()
    assert canary not in shown_by(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_the_line_break_at_the_end_of_a_secret_is_left_out(end):
    assert Tracker("a-key" + end, enabled=False).config == Tracker("a-key", enabled=False).config
    assert ClientConfig("a-key" + end) == ClientConfig("a-key")
    url = "redis://:secret@localhost"
    assert Tracker(broker=url + end, enabled=False).config == Tracker(broker=url, enabled=False).config


class Interrupted(Exception):
    """Like Celery's SoftTimeLimitExceeded: not one of the standard library's exception types."""


INTERRUPTIONS = [Interrupted, KeyboardInterrupt, TimeoutError, SystemExit]


@pytest.fixture
def interrupt(monkeypatch):
    """Have a signal handler raise an exception as soon as a condition holds."""
    before = signal.getsignal(signal.SIGUSR1)

    def when(condition, error):
        def handler(*_):
            raise error

        def watch():
            eventually(condition)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, handler)
        threading.Thread(target=watch, daemon=True).start()

    yield when
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def silent():
    """A server that receives requests and never responds."""
    heard: list[bytes] = []

    def serve():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                heard.append(connection.recv(65536))

    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


@pytest.mark.parametrize("error", INTERRUPTIONS)
def test_what_interrupts_a_call_is_raised_and_reported_without_the_key(silent, interrupt, canary, error):
    url, heard = silent
    with Client(None, ClientConfig(canary, base_url=url)) as client:
        interrupt(lambda: heard, error("the time is over"))
        with pytest.raises(error) as caught:
            client.upsert_user(user_id="u1", properties={"a": 1})
    assert canary not in shown_by(caught.value)
    assert canary.encode() in heard[0]  # the key was sent


class Own:
    """An HTTP client of the app's own, which waits for a server that does not respond."""

    def __init__(self, heard):
        self.heard = heard

    def send(self, request: HttpRequest, /):
        del request
        self.heard.append(1)
        threading.Event().wait(10)

    def close(self):
        """Do nothing: no connection is kept open."""


@pytest.mark.parametrize("error", INTERRUPTIONS)
def test_what_interrupts_a_call_over_the_apps_own_http_client_is_raised(interrupt, error):
    heard = []
    client = Client(Own(heard), ClientConfig("a-key"))
    interrupt(lambda: heard, error("the time is over"))
    with pytest.raises(error):
        client.get_api_key_details()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_at_any_line_of_a_call_is_reported_without_the_key(api, canary):
    """Ctrl-C can come at any line: here it comes at each line of this library in turn."""
    lines: set[tuple[str, int]] = set()
    config = ClientConfig(canary, base_url=api.url)

    def call():
        with Client(None, config) as client:
            client.upsert_user(user_id="u1", properties={"a": 1})

    for _ in range(2000):
        fresh = _raise_at_first_line_not_in(lines, call, "/journy_track/_transport/", "/journy_track/client.py")
        if fresh is None:
            break
        assert canary not in shown_by(fresh)
    assert len(lines) > 100
    gc.collect()  # a socket was about to be kept or closed: its ResourceWarning is expected here


@pytest.mark.parametrize("setting", ["api_key", "broker", "base_url"])
@pytest.mark.parametrize("end", ["", " ü"], ids=["right", "wrong"])
def test_an_exception_at_any_line_that_looks_at_a_setting_is_reported_without_it(setting, end, canary):
    lines: set[tuple[str, int]] = set()
    given = {"api_key": canary, "broker": f"redis://:{canary}@localhost", "base_url": f"https://{canary}"}[setting]
    settings = {setting: Secret(given + end)}
    key = settings.pop("api_key", "a-key")

    def call():
        with suppress(journy_track.ConfigurationError):
            Config.load(key, settings)

    for _ in range(500):
        fresh = _raise_at_first_line_not_in(lines, call, "/_model/checks.py", "/_model/broker_url.py")
        if fresh is None:
            break
        assert canary not in shown_by(fresh)
    assert len(lines) > 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # from redis-py's half-made objects
def test_an_exception_at_any_line_that_makes_a_broker_is_reported_without_its_password(canary):
    pytest.importorskip("redis")
    lines: set[tuple[str, int]] = set()
    url = Secret(f"redis://:{canary}@localhost")
    for _ in range(500):
        fresh = _raise_at_first_line_not_in(lines, lambda: RedisConnection(url), "/redis/connection.py")
        if fresh is None:
            break
        assert canary not in shown_by(fresh)
    assert len(lines) > 20
    gc.collect()  # warnings about half-made objects are expected here


def _raise_at_first_line_not_in(lines, call, *files):
    """Return what *call* raises when interrupted at a line not in *lines*, `None` when there is no such line."""
    raised = False

    def trace(frame, event, _):
        nonlocal raised
        name = frame.f_code.co_filename
        if raised or not any(file in name for file in files):
            return None
        if event == "line" and (name, frame.f_lineno) not in lines:
            lines.add((name, frame.f_lineno))
            raised = True
            raise KeyboardInterrupt
        return trace

    def run():
        sys.settrace(trace)
        try:
            call()
        except KeyboardInterrupt as error:
            caught.append(error)

    # In a separate thread: Python may otherwise treat an exception handled at that line as handled in the next test.
    caught: list[KeyboardInterrupt] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised and not caught:  # raised in a finaliser
        return _raise_at_first_line_not_in(lines, call, *files)
    return caught[0] if caught else None


def test_sentry_reports_no_key(silent, interrupt, canary):
    sentry_sdk = pytest.importorskip("sentry_sdk")
    reports = []

    class Kept(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope):
            reports.append(envelope)

    sentry_sdk.init("http://k@127.0.0.1:1/1", transport=Kept, default_integrations=False)
    try:
        for call in WRONG.values():
            try:
                call(canary)
            except journy_track.JournyError:
                sentry_sdk.capture_exception()
        url, heard = silent
        interrupt(lambda: heard, Interrupted())
        try:
            Client(None, ClientConfig(canary, base_url=url)).upsert_user(user_id="u1", properties={"a": 1})
        except Interrupted:
            sentry_sdk.capture_exception()
        sentry_sdk.flush()
    finally:
        sentry_sdk.get_global_scope().set_client(None)
    events = [item.payload.json for report in reports for item in report.items]
    assert len(events) == len(WRONG) + 1
    for event in events:
        for exception in event["exception"]["values"]:
            frames = [frame for frame in exception["stacktrace"]["frames"] if "tests" not in frame["abs_path"]]
            assert frames
            assert any("vars" in frame for frame in frames)
            assert canary not in json.dumps([frames, exception["value"]])


def test_under_gevent_a_time_limit_is_reported_without_the_key(run_program, silent, canary):
    pytest.importorskip("gevent")
    url, _ = silent
    done = run_program(
        """
        from gevent import monkey
        monkey.patch_all()
        import gevent, sys
        from journy_track import Client, ClientConfig
        from error_reports import shown_by
        client = Client(None, ClientConfig(sys.argv[2], base_url=sys.argv[1]))
        try:
            with gevent.Timeout(0.5):
                client.upsert_user(user_id="u1", properties={"a": 1})
        except gevent.Timeout as error:
            print("shown" if sys.argv[2] in shown_by(error) else "hidden")
        """,
        url,
        canary,
        PYTHONPATH=str(Path(__file__).parent),
    )
    assert done.out.strip() == "hidden", done.err


@pytest.mark.slow
def test_a_large_request_that_is_interrupted_while_it_is_sent_is_reported_without_the_key(interrupt, canary):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = RequestsHttpClient()
        accepted = []
        threading.Thread(target=lambda: accepted.append(listener.accept()), daemon=True).start()
        interrupt(lambda: accepted and _is_full(accepted[0][0]), Interrupted())
        request = HttpRequest("POST", url, {"X-Api-Key": canary}, b"x" * 8_000_000, 20)
        with pytest.raises(Interrupted) as caught:
            client.send(request)
        client.close()
        accepted[0][0].close()
    assert canary not in shown_by(caught.value)


def _is_full(connection):
    return len(connection.recv(1_000_000, socket.MSG_PEEK)) > 30_000


@pytest.mark.parametrize("name", ["X-Api-Key", "x-api-key", "Authorization"])
def test_the_key_is_sent_as_it_is(silent, interrupt, canary, name):
    url, heard = silent
    client = RequestsHttpClient()
    interrupt(lambda: heard, Interrupted())
    with suppress(Interrupted):
        client.send(HttpRequest("POST", url, {name: f"Basic {canary}", "A": "b"}, b"{}", 5))
    client.close()
    assert f"{name}: Basic {canary}\r\n".encode() in heard[0]
