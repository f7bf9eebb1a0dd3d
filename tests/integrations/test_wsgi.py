"""The WSGI middleware and Flask's, beyond what a real server shows."""

from __future__ import annotations

import contextvars
import gc
import threading
from contextlib import suppress
from contextvars import copy_context
from time import thread_time
from urllib.parse import unquote
from wsgiref.util import FileWrapper

import pytest

import journy_track
from journy_track import Link, track
from journy_track._capture import context
from journy_track.integrations._requests import HOUR, MAX_NEW_DEVICES, Devices, device_of
from journy_track.integrations.wsgi import JournyMiddleware


def start_response(status, headers):
    return None


def environ(user: str = "u1", **more: object) -> dict[str, object]:
    return {"HTTP_X_USER": user, **more}


def user_of(environ):
    return environ["HTTP_X_USER"]


def test_a_list_stays_a_list(kept):
    """Servers check its length, and send it with one call."""

    def app(environ, start_response):
        track("visited")
        return body

    body = [b"ok"]
    assert JournyMiddleware(app, user=user_of)(environ(), start_response) is body
    assert kept.who() == {"visited": ("u1", None)}


def test_a_file_stays_the_servers_file(kept, tmp_path):
    """Servers send such a file with sendfile."""
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def app(environ, start_response):
        return environ["wsgi.file_wrapper"](path.open("rb"))

    body = JournyMiddleware(app, user=user_of)(environ(**{"wsgi.file_wrapper": FileWrapper}), start_response)
    assert isinstance(body, FileWrapper)
    body.close()


def test_two_bodies_of_one_thread_that_take_turns_keep_their_users(kept):
    def app(environ, start_response):
        def body():
            for part in range(2):
                track(f"{environ['HTTP_X_USER']} {part}")
                yield b""

        return body()

    middleware = JournyMiddleware(app, user=user_of)
    first, second = (middleware(environ(user), start_response) for user in ("u1", "u2"))
    for _ in range(2):
        next(first)
        next(second)
    first.close()
    second.close()
    assert kept.who() == {f"{user} {part}": (user, None) for user in ("u1", "u2") for part in range(2)}


def test_what_the_app_sets_does_not_reach_the_next_request(kept):
    def app(environ, start_response):
        if "HTTP_X_USER" in environ:
            journy_track.set_user(environ["HTTP_X_USER"])
            journy_track.user("u9").__enter__()  # and never exits the block
        track("visited", account="acme")
        return []

    middleware = JournyMiddleware(app)
    middleware(environ(), start_response)
    middleware({}, start_response)
    assert [event.user and event.user.user_id for event in kept()] == ["u9", None]
    assert context.live_frame() is context.BOTTOM


def test_a_request_that_raises_leaves_nothing_waiting(kept):
    def app(environ, start_response):
        thread = threading.Thread(target=journy_track.in_context(lambda: track("worked")))
        thread.start()
        thread.join()
        raise RuntimeError("as asked")

    with pytest.raises(RuntimeError, match="as asked"):
        JournyMiddleware(app, user=user_of)(environ(), start_response)
    assert kept.who() == {"worked": ("u1", None)}


def test_an_event_is_of_who_was_in_the_environ_when_it_was_captured(kept):
    def app(environ, start_response):
        for user in ("jane", "joe", None):
            environ["REMOTE_USER"] = user
            track(f"as_{user}", account="acme")
        return []

    JournyMiddleware(app, user=lambda environ: environ.get("REMOTE_USER"))(environ(), start_response)
    assert kept.who() == {"as_jane": ("jane", "acme"), "as_joe": ("joe", "acme"), "as_None": (None, "acme")}


def test_the_app_runs_in_the_context_of_its_caller(kept):
    """Flask's test client keeps what the app has set there, and restores it itself."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("of the app")

    def app(environ, start_response):
        tokens.append(variable.set("set"))
        yield b""

    tokens: list[contextvars.Token[str]] = []
    body = JournyMiddleware(app, user=user_of)(environ(), start_response)
    assert list(body) == [b""]
    body.close()
    assert variable.get() == "set"
    variable.reset(tokens[0])
    assert context.live_frame() is context.BOTTOM


@pytest.mark.parametrize(
    "cookie",
    ["", "theme=dark", "__journey=", "__journey=with space", f"__journey={'x' * 300}", "__journey=%0D%0A", "=;;=="],
)
def test_a_cookie_that_can_be_no_device_links_nothing(api, tracker, cookie):
    middleware = JournyMiddleware(lambda environ, start: [], user=user_of, link_devices=True)
    middleware(environ(HTTP_COOKIE=cookie), start_response)
    assert tracker.flush(5)
    assert api.requests == []


def test_without_link_devices_no_cookie_is_linked(api, tracker):
    JournyMiddleware(lambda environ, start: [], user=user_of)(environ(HTTP_COOKIE="__journey=d"), start_response)
    assert tracker.flush(5)
    assert api.requests == []


def test_users_who_take_turns_on_a_device_are_linked_once_each():
    def app(environ, start_response):
        track("visited")  # once a device is linked, a link alone does not look up the user again
        return [b"ok"]

    middleware = JournyMiddleware(app, user=user_of, link_devices=True)
    with journy_track.testing.capture() as items:
        for user in ("u1", "u2", "u1", "u2"):
            middleware(environ(user, HTTP_COOKIE="__journey=shared"), start_response)
        assert [item.user.user_id for item in items if isinstance(item, Link)] == ["u1", "u2"]


@pytest.mark.slow
def test_an_async_function_cannot_be_asked_here_which_is_said(kept, caplog):
    async def user(environ):
        return "u1"

    def app(environ, start_response):
        track("visited")
        return [b"ok"]

    middleware = JournyMiddleware(app, user=lambda environ: user({**environ}), account=lambda environ: "acme")
    middleware(environ(), start_response)
    gc.collect()  # a never-awaited warning would be an error
    assert kept.who() == {"visited": (None, "acme")}
    assert "the user= callback is async, in a sync stack" in caplog.text


def test_devices_are_remembered_within_bounds(tracker, monkeypatch):
    from journy_track.integrations import _requests

    monkeypatch.setattr(_requests, "MAX_DEVICES", 3)
    devices = _requests.Devices()
    user = journy_track.UserIdentified("u1")
    for number in range(5):
        devices.link(str(number), user)
    assert [devices.is_new(str(number)) for number in range(5)] == [True, True, False, False, False]


def test_a_client_that_changes_its_cookie_with_each_request_links_a_few_devices(api, tracker, balance):
    middleware = JournyMiddleware(lambda environ, start: [], user=user_of, link_devices=True)
    for number in range(200):
        middleware(environ("u1", HTTP_COOKIE=f"__journey=device-{number}"), start_response)
    middleware(environ("u2", HTTP_COOKIE="__journey=another"), start_response)
    assert tracker.flush(10)
    assert len(api.requests) == MAX_NEW_DEVICES + 1
    assert tracker.stats().dropped == {"too_many_devices": 200 - MAX_NEW_DEVICES}
    balance(tracker, captured=201)


def test_devices_beyond_the_bound_are_linked_an_hour_later(api, tracker):
    now = [0.0]
    devices = Devices(lambda: now[0])
    user = journy_track.UserIdentified("u1")
    for number in range(MAX_NEW_DEVICES + 1):
        devices.link(str(number), user)
    assert devices.is_new(str(MAX_NEW_DEVICES))
    now[0] += HOUR
    devices.link(str(MAX_NEW_DEVICES), user)
    assert not devices.is_new(str(MAX_NEW_DEVICES))


def test_a_client_that_changes_its_cookie_pushes_out_no_device_of_others(tracker):
    devices = Devices()
    devices.link("mine", journy_track.UserIdentified("me"))
    for number in range(20_000):
        devices.link(str(number), journy_track.UserIdentified("rotating"))
    assert not devices.is_new("mine")


def seconds_of(act) -> float:
    """Return the CPU seconds of *act*: the best of three tries."""

    def once() -> float:
        began = thread_time()
        act()
        return thread_time() - began

    return min(once() for _ in range(3))


def test_a_cookie_without_end_is_not_decoded_to_its_end():
    long = "%41" * 3_000_000
    # Compared with decoding on this machine, in CPU time, because other processes may be busy.
    assert seconds_of(lambda: device_of("__journey=" + long)) < seconds_of(lambda: unquote(long)) / 4
    assert device_of("__journey=" + "%41" * 256) == "A" * 256
    assert device_of("__journey=" + "%41" * 257) is None


# ── Flask ──


@pytest.fixture
def flask_app():
    flask = pytest.importorskip("flask", reason="needs Flask")
    from journy_track.integrations.flask import JournyTrack

    app = flask.Flask("shop")
    app.secret_key = "for tests"
    JournyTrack(user=lambda: flask.session.get("user"), account=lambda: flask.request.args["account"]).init_app(app)

    @app.get("/sign-in")
    def sign_in():
        track("opened_form")
        flask.session["user"] = "u1"
        track("signed_in")
        return "ok"

    @app.get("/thread")
    def thread():
        flask.session["user"] = "u1"
        worker = threading.Thread(target=copy_context().run, args=(track, "worked"))
        worker.start()
        worker.join()
        assert journy_track.stats().queued == 1
        return "ok"

    @app.get("/fail")
    def fail():
        thread()
        raise RuntimeError("as asked")

    return app


def test_flask_asks_again_after_nobody(flask_app, kept):
    assert flask_app.test_client().get("/sign-in?account=acme").status_code == 200
    assert kept.who() == {"opened_form": (None, "acme"), "signed_in": ("u1", "acme")}


@pytest.mark.parametrize("path", ["/thread", "/fail"])
@pytest.mark.parametrize("testing", [True, False])
def test_flask_answers_what_waits_while_its_context_lives(flask_app, kept, path, testing):
    flask_app.testing = testing  # an exception passes through
    with suppress(RuntimeError):
        flask_app.test_client().get(f"{path}?account=acme")
    assert kept.who() == {"worked": ("u1", "acme")}


def test_flask_answers_without_an_account_where_it_cannot_be_said(flask_app, kept):
    assert flask_app.test_client().get("/thread").status_code == 200
    assert kept.who() == {"worked": ("u1", None)}
