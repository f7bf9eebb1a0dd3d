"""Flask, beyond what a real server shows: the user of each event, and its context."""

from __future__ import annotations

import threading
from importlib.metadata import version

import pytest

import journy_track
from journy_track import track
from journy_track._capture import context

flask = pytest.importorskip("flask", reason="needs Flask")
FLASK = tuple(map(int, version("flask").split(".")[:3]))


@pytest.fixture
def app():
    from journy_track.integrations.flask import instrument_flask

    app = flask.Flask("shop")
    app.secret_key = "for tests"
    instrument_flask(app, user=lambda: flask.session.get("user"))
    add_views(app)
    return app


def add_views(app):
    @app.get("/in")
    def sign_in():
        flask.session["user"] = "jane"
        return ""

    def switch():
        track("left_workspace")
        flask.session["user"] = "bob"
        track("entered_workspace")
        return ""

    def sign_out():
        track("signed_out")
        flask.session.clear()
        track("seen_goodbye", account="acme")
        return ""

    async def async_switch():
        return switch()

    async def async_sign_out():
        return sign_out()

    for name, view in (("switch", switch), ("out", sign_out)):
        app.get(f"/sync/{name}", endpoint=f"sync {name}")(view)
    for name, view in (("switch", async_switch), ("out", async_sign_out)):
        app.get(f"/async/{name}", endpoint=f"async {name}")(view)

    def streaming():
        @flask.stream_with_context
        def parts():
            track("streamed")
            yield flask.request.path
            yield "!"

        return flask.Response(parts())

    async def async_streaming():
        return streaming()

    app.get("/sync/stream", endpoint="sync stream")(streaming)
    app.get("/async/stream", endpoint="async stream")(async_streaming)

    @app.get("/visit")
    def visit():
        track("visited")
        return ""

    @app.get("/thread")
    def thread():
        worker = threading.Thread(target=journy_track.in_context(lambda: track("worked")))
        worker.start()
        worker.join()
        return ""


@pytest.fixture(params=["sync", "async"])
def kind(request):
    if request.param == "async":
        pytest.importorskip("asgiref", reason="needs flask[async]")
    return request.param


@pytest.fixture
def client(app):
    client = app.test_client()
    client.get("/in")
    return client


def test_who_switches_is_the_user_until_then(client, kept, kind):
    assert client.get(f"/{kind}/switch").status_code == 200
    assert kept.who() == {"left_workspace": ("jane", None), "entered_workspace": ("bob", None)}


def test_who_signs_out_is_the_user_until_then(client, kept, kind):
    assert client.get(f"/{kind}/out").status_code == 200
    assert kept.who() == {"signed_out": ("jane", None), "seen_goodbye": (None, "acme")}


@pytest.mark.parametrize("name", ["instrument_flask", "JournyTrack", "init_app"])
def test_each_of_its_names_instruments_the_app(kept, name):
    from journy_track.integrations.flask import JournyTrack, instrument_flask

    app = flask.Flask("shop")
    if name == "init_app":
        JournyTrack(user=lambda: "jane").init_app(app)
    elif name == "JournyTrack":
        JournyTrack(app, user=lambda: "jane")
    else:
        assert instrument_flask(app, user=lambda: "jane") is app
    app.get("/")(lambda: track("visited") or "")
    assert app.test_client().get("/").status_code == 200
    assert kept.who() == {"visited": ("jane", None)}


def test_who_signs_in_with_flask_login_is_the_user_from_then_on(kept):
    login = pytest.importorskip("flask_login", reason="needs Flask-Login")
    from journy_track.integrations.flask import instrument_flask

    class User(login.UserMixin):
        def __init__(self, key: str) -> None:
            self.id = key

    app = flask.Flask("shop")
    app.secret_key = "for tests"
    login.LoginManager(app).user_loader(User)
    instrument_flask(app, user=lambda: login.current_user.get_id())  # noqa: PLW0108 - current_user is a proxy

    @app.get("/")
    def view():
        track("before", account="acme")
        for user in ("jane", "joe"):
            login.login_user(User(user))
            track(f"as_{user}")
        login.logout_user()
        track("after", account="acme")
        return ""

    assert app.test_client().get("/").status_code == 200
    assert kept.who() == {
        "before": (None, "acme"),
        "as_jane": ("jane", None),
        "as_joe": ("joe", None),
        "after": (None, "acme"),
    }


def test_a_stream_in_a_clients_with_block_is_read_in_flasks_context_and_leaves_none_behind(app, kept, kind):
    if kind == "async" and FLASK < (3, 1, 2):
        pytest.skip("Flask before 3.1.2 fails here without us")
    with app.test_client() as client:
        client.get("/in")
        assert client.get(f"/{kind}/stream").text == f"/{kind}/stream!"
        assert flask.request.path == f"/{kind}/stream"
    assert not flask.has_request_context()
    assert not flask.has_app_context()
    assert kept.who() == {"streamed": ("jane", None)}


def test_a_clients_with_block_keeps_flasks_context_and_not_ours(app, kept):
    with app.test_client() as client:
        client.get("/in")
        client.get("/visit")
        assert flask.session["user"] == "jane"
        assert journy_track.current_context().user is None
        assert context.live_frame() is context.BOTTOM
    assert kept.who() == {"visited": ("jane", None)}


def test_what_waits_is_answered_in_a_clients_with_block_too(app, kept):
    with app.test_client() as client:
        client.get("/in")
        client.get("/thread")
        assert kept.who() == {"worked": ("jane", None)}


def test_asking_for_the_user_does_not_make_the_page_vary_by_cookie(client, kept):
    assert "Vary" not in client.get("/visit").headers
    assert kept.who() == {"visited": ("jane", None)}


def test_the_next_request_on_a_thread_has_its_own_user(app, kept):
    first, second = app.test_client(), app.test_client()
    first.get("/in")
    first.get("/visit")
    second.get("/visit")
    assert kept.who() == {"visited": ("jane", None)}
    assert kept.lost() == {"no_identity": 1}


class Incomparable:
    """A value like an array or a data frame in a server-side session."""

    __hash__ = None

    def __eq__(self, other):
        raise ValueError("ambiguous")


def test_values_in_the_session_need_not_be_comparable(app, kept):
    from flask.sessions import SecureCookieSession, SessionInterface

    class ServerSide(SessionInterface):
        def open_session(self, app, request):
            return SecureCookieSession({"user": "jane"})

        def save_session(self, app, session, response):
            pass

    app.session_interface = ServerSide()

    @app.get("/frames")
    def frames():
        for name in ("first", "second"):
            flask.session["frame"] = Incomparable()
            with journy_track.metadata(name=name):
                track(name)
        return ""

    assert app.test_client().get("/frames").status_code == 200
    assert kept.who() == {"first": ("jane", None), "second": ("jane", None)}


def test_a_thread_tracks_for_who_acted_when_it_took_the_context(app, kept):
    @app.get("/threads")
    def threads():
        worker = threading.Thread(target=journy_track.in_context(lambda: track("worked")))
        worker.start()
        worker.join()
        flask.session["user"] = "bob"
        track("switched")
        return ""

    client = app.test_client()
    client.get("/in")
    client.get("/threads")
    assert kept.who() == {"worked": ("jane", None), "switched": ("bob", None)}
