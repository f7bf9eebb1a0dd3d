"""Requests that are not tracked, by the app's own rule: staff, health checks, bots."""

from __future__ import annotations

import asyncio
import threading

import pytest

import journy_track
from journy_track import DeleteUser, track
from journy_track.integrations.asgi import JournyMiddleware as Asgi
from journy_track.integrations.wsgi import JournyMiddleware as Wsgi


def start_response(status, headers):
    return None


def wsgi(middleware, **environ):
    body = middleware(environ, start_response)
    close = getattr(body, "close", list)
    list(body)
    close()


def is_staff(environ):
    return environ.get("REMOTE_USER") == "staff"


def who(environ):
    return environ.get("REMOTE_USER")


def visiting(environ, start_response):
    track("visited")
    track("visited", user="u9", account="acme")
    with journy_track.user("u8"):
        track("visited")
    return []


def test_a_request_that_is_skipped_tracks_nothing_whoever_its_events_are_of(kept, caplog):
    app = Wsgi(visiting, user=who, skip=is_staff)
    wsgi(app, REMOTE_USER="staff")
    wsgi(app, REMOTE_USER="u1")
    assert [event.user.user_id for event in kept()] == ["u1", "u9", "u8"]
    assert kept.lost() == {"suppressed": 3}
    assert "skip" not in caplog.text


def test_who_is_asked_first_and_alone_where_a_request_is_skipped(kept):
    def fail(environ):
        raise AssertionError("nobody has to know")

    wsgi(Wsgi(visiting, user=fail, account=fail, skip=is_staff), REMOTE_USER="staff")
    assert kept.lost() == {"suppressed": 3}


def test_deletes_of_a_request_that_is_skipped_go_out(kept):
    def app(environ, start_response):
        journy_track.delete_user("u1")
        return []

    wsgi(Wsgi(app, skip=is_staff), REMOTE_USER="staff")
    assert [type(item) for item in kept()] == [DeleteUser]
    assert kept.lost() == {}


def test_a_request_is_skipped_from_when_staff_acts_until_it_does_no_longer(kept):
    def app(environ, start_response):
        for user in ("jane", "staff", "jane"):
            environ["REMOTE_USER"] = user
            track(f"as_{user}")
        return []

    wsgi(Wsgi(app, user=who, skip=is_staff))
    assert [event.name for event in kept()] == ["as_jane", "as_jane"]
    assert kept.lost() == {"suppressed": 1}


def test_a_skip_that_raises_is_logged_and_the_request_is_tracked(kept, caplog):
    wsgi(Wsgi(visiting, user=who, skip=lambda environ: environ["MISSING"]), REMOTE_USER="u1")
    assert len(kept()) == 3
    assert "the skip= callback raised KeyError" in caplog.text


def test_a_device_of_a_request_that_is_skipped_is_not_linked(kept):
    app = Wsgi(lambda environ, start_response: [], user=who, skip=is_staff, link_devices=True)
    wsgi(app, REMOTE_USER="staff", HTTP_COOKIE="__journey=device-of-staff")
    assert kept() == []


def test_work_in_a_scope_that_inherits_is_skipped_too(kept):
    def app(environ, start_response):
        with journy_track.scope(inherit=True):
            track("within")
        return []

    wsgi(Wsgi(app, user=who, skip=is_staff), REMOTE_USER="staff")
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}


@pytest.mark.parametrize("staff", [True, False])
def test_an_async_skip_is_awaited_and_events_wait_for_it(kept, staff):
    async def skip(scope):
        await asyncio.sleep(0)
        return staff

    async def app(scope, receive, send):
        track("visited")
        journy_track.delete_user("u2")
        assert kept.tracker.stats().queued == 2

    async def nothing(*_): ...

    asyncio.run(Asgi(app, user=lambda scope: "u1", skip=skip)({"type": "http"}, nothing, nothing))
    items = kept()
    assert [getattr(item, "name", "delete") for item in items] == (["delete"] if staff else ["visited", "delete"])
    assert kept.lost() == ({"suppressed": 1} if staff else {})
    assert kept.tracker.stats().queued == 0


def test_flask_skips_by_what_its_context_knows(kept):
    flask = pytest.importorskip("flask", reason="needs Flask")
    from journy_track.integrations.flask import instrument_flask

    app = flask.Flask("shop")
    instrument_flask(app, user=lambda: flask.request.args["as"], skip=lambda: flask.request.args["as"] == "staff")

    @app.get("/")
    def visit():
        track("visited")
        thread = threading.Thread(target=journy_track.in_context(lambda: track("worked")))
        thread.start()
        thread.join()
        return ""

    for user in ("staff", "u1"):
        app.test_client().get("/", query_string={"as": user})
    assert [(event.name, event.user.user_id) for event in kept()] == [("visited", "u1"), ("worked", "u1")]
    assert kept.lost() == {"suppressed": 2}
