"""Requests that are not tracked, by the app's own rule: staff, health checks, bots."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading

import pytest

import journy_track
from journy_track import DeleteUser, Event, track
from journy_track._capture import request as requests
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


def failing(*_):
    raise KeyError("staff")


async def awaited(*_):
    return False


async def nothing(*_): ...


def asgi(*apps, **scope):
    """Serve one request by the last of these, which are middlewares around the first."""
    app = apps[0]
    for around in apps[1:]:
        app = around(app)
    asyncio.run(app({"type": "http", **scope}, nothing, nothing))


def names(items):
    return [item.name if isinstance(item, Event) else type(item).__name__ for item in items]


@pytest.mark.parametrize("skip", [failing, lambda environ: awaited()], ids=["raises", "is async"])
def test_a_request_whose_skip_cannot_be_evaluated_is_not_tracked(kept, caplog, skip):
    def app(environ, start_response):
        journy_track.delete_user("u2")
        return visiting(environ, start_response)

    wsgi(Wsgi(app, user=who, skip=skip), REMOTE_USER="u1")
    assert names(kept()) == ["DeleteUser"]
    assert kept.lost() == {"suppressed": 3}
    assert "the skip= callback" in caplog.text
    assert "nothing in the request is tracked" in caplog.text
    assert "went on without it" not in caplog.text


def test_an_async_skip_that_raises_leaves_the_request_untracked(kept, caplog):
    async def skip(scope):
        raise LookupError("staff")

    async def app(scope, receive, send):
        track("visited", user="u1")
        await send({})

    asgi(app, functools.partial(Asgi, user=lambda scope: "u1", skip=skip))
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}
    assert "the skip= callback raised LookupError" in caplog.text


def test_a_skip_that_fails_too_early_is_asked_again(kept):
    def app(environ, start_response):
        track("visited")
        environ["STAFF"] = environ["REMOTE_USER"] == "staff"
        return []

    middleware = Wsgi(app, user=who, skip=lambda environ: environ["STAFF"])
    for user in ("u1", "staff"):
        wsgi(middleware, REMOTE_USER=user)
    assert [event.user.user_id for event in kept()] == ["u1"]
    assert kept.lost() == {"suppressed": 1}


def test_what_is_cut_off_before_skip_was_awaited_is_not_tracked(kept):
    async def app(scope, receive, send):
        track("visited", user="u1")
        raise GeneratorExit  # as the event loop does when it is closed

    with pytest.raises(GeneratorExit):
        Asgi(app, skip=awaited)({"type": "http"}, nothing, nothing).send(None)
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}


def test_more_than_fits_waits_for_skip_is_not_sent_before_it_is_known(kept, monkeypatch):
    monkeypatch.setattr(requests, "MAX_WAITING", 2)

    async def skip(scope):
        return True

    async def app(scope, receive, send):
        for _ in range(3):
            track("visited", user="u1")
        with journy_track.scope():
            track("within", user="u1")
        journy_track.delete_user("u2")

    asgi(app, functools.partial(Asgi, skip=skip))
    assert names(kept()) == ["DeleteUser"]
    assert kept.lost() == {"suppressed": 2, "waiting_room_full": 2}


def test_more_than_fits_is_sent_where_a_request_cannot_be_skipped(kept, monkeypatch):
    monkeypatch.setattr(requests, "MAX_WAITING", 2)

    async def user(scope):
        return "u1"

    async def app(scope, receive, send):
        for _ in range(3):
            track("visited", user="u1")

    asgi(app, functools.partial(Asgi, user=user))
    assert len(kept()) == 3
    assert kept.lost() == {}


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


BLOCKS = {
    "scope": journy_track.scope,
    "scope that inherits": lambda: journy_track.scope(inherit=True),
    "job": lambda: journy_track.extract({}),
}


@pytest.fixture(params=BLOCKS)
def block(request):
    return BLOCKS[request.param]


@pytest.mark.parametrize("staff", [True, False])
def test_the_first_event_of_a_skipped_request_may_be_in_a_scope(kept, block, staff):
    def app(environ, start_response):
        with block(), block():
            track("within", user="u9")
            journy_track.delete_user("u2")
        with block():
            track("again", user="u9")
        return []

    wsgi(Wsgi(app, user=who, skip=is_staff), REMOTE_USER="staff" if staff else "u1")
    assert names(kept()) == (["DeleteUser"] if staff else ["within", "DeleteUser", "again"])
    assert kept.lost() == ({"suppressed": 2} if staff else {})


@pytest.mark.parametrize("staff", [True, False])
def test_events_in_a_scope_wait_for_an_async_skip(kept, block, staff):
    async def skip(scope):
        await asyncio.sleep(0)
        return staff

    async def app(scope, receive, send):
        with block(), block():
            track("within", user="u9")
            journy_track.delete_user("u2")
        assert kept.tracker.stats().queued == 2

    asgi(app, functools.partial(Asgi, user=lambda scope: "u1", skip=skip))
    items = kept()
    assert names(items) == (["DeleteUser"] if staff else ["within", "DeleteUser"])
    assert kept.lost() == ({"suppressed": 1} if staff else {})
    assert kept.tracker.stats().queued == 0


def test_a_scope_has_no_user_of_the_request_around_it(kept):
    async def metadata(scope):
        return {"plan": "pro"}

    async def app(scope, receive, send):
        with journy_track.scope():
            track("anonymous")
            track("within", user="u9")

    asgi(app, functools.partial(Asgi, user=lambda scope: "u1", metadata=metadata, skip=awaited))
    assert [(event.name, event.user.user_id, dict(event.metadata)) for event in kept()] == [("within", "u9", {})]
    assert kept.lost() == {"no_identity": 1}


def test_a_scope_is_skipped_from_when_staff_acts_until_it_does_no_longer(kept):
    def app(environ, start_response):
        with journy_track.scope():
            for user in ("jane", "staff", "jane"):
                environ["REMOTE_USER"] = user
                track(f"as_{user}", user="u9")
        return []

    wsgi(Wsgi(app, user=who, skip=is_staff))
    assert names(kept()) == ["as_jane", "as_jane"]
    assert kept.lost() == {"suppressed": 1}


def test_a_scope_in_a_request_from_where_nothing_is_tracked_tracks_nothing(kept):
    carrier = {}
    with journy_track.suppressed():
        journy_track.inject(carrier)

    def app(environ, start_response):
        with journy_track.scope():
            track("within", user="u9")
        return []

    wsgi(Wsgi(app, trust=lambda environ: True), HTTP_JOURNY_TRACK=carrier["journy-track"])
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}


@pytest.mark.parametrize("staff", [True, False])
@pytest.mark.parametrize("outer", ["sync", "async"])
@pytest.mark.parametrize("inner", ["none", "sync", "async"])
def test_a_request_within_one_that_is_skipped_is_not_tracked(kept, staff, outer, inner):
    async def app(scope, receive, send):
        track("visited")
        track("visited", user="u9")
        with journy_track.scope():
            track("within", user="u9")
        await send({})
        track("sent", user="u9")
        journy_track.delete_user("u2")

    async def skip_async(scope):
        await asyncio.sleep(0)
        return staff

    async def user(scope):
        return "inner"

    skip = (lambda scope: staff) if outer == "sync" else skip_async
    options = {"none": {}, "sync": {"user": lambda scope: "inner"}, "async": {"user": user}}[inner]
    asgi(app, functools.partial(Asgi, **options), functools.partial(Asgi, user=lambda scope: "outer", skip=skip))
    items = kept()
    if staff:
        assert names(items) == ["DeleteUser"]
        assert kept.lost() == {"suppressed": 4}
        return
    anonymous = 1 if inner == "none" else 0
    assert kept.lost() == ({"no_identity": 1} if anonymous else {})
    assert sorted(names(items)) == ["DeleteUser", "sent", *(["visited"] * (2 - anonymous)), "within"]
    users = {event.user.user_id for event in items if isinstance(event, Event)}
    assert users == ({"u9"} if anonymous else {"u9", "inner"})
    assert kept.tracker.stats().queued == 0


def test_a_device_of_a_request_within_one_that_is_skipped_is_not_linked(kept):
    inner = Wsgi(lambda environ, start_response: [], user=who, link_devices=True)
    app = Wsgi(inner, skip=is_staff)
    wsgi(app, REMOTE_USER="staff", HTTP_COOKIE="__journey=device-of-staff")
    assert kept() == []
    wsgi(app, REMOTE_USER="u1", HTTP_COOKIE="__journey=device-of-u1")
    assert names(kept()) == ["Link"]


def test_work_that_outlives_a_request_within_one_that_is_skipped_is_not_tracked(kept):
    late = []

    def app(environ, start_response):
        late.append(journy_track.in_context(lambda: track("late", user="u9")))
        return []

    wsgi(Wsgi(Wsgi(app, user=who), skip=is_staff), REMOTE_USER="staff")
    late[0]()
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}


def test_jobs_of_a_request_that_is_skipped_are_marked_also_where_skip_failed(kept):
    carriers = {}

    def app(environ, start_response):
        carriers[environ["REMOTE_USER"]] = carrier = {}
        with journy_track.scope():
            journy_track.inject(carrier)
        return []

    for user, skip in (("staff", is_staff), ("u1", is_staff), ("u2", failing), ("u3", lambda environ: awaited())):
        wsgi(Wsgi(app, user=who, skip=skip), REMOTE_USER=user)
    for user, carrier in carriers.items():
        with journy_track.extract(carrier):
            track(f"job_of_{user}", user="u9")
    assert names(kept()) == ["job_of_u1"]
    assert kept.lost() == {"suppressed": 3}


async def not_staff(scope):
    return False


def mounted(app, skip, **inner):
    """*app* in a middleware of its own, within one that may skip the request."""
    return app, functools.partial(Asgi, **inner), functools.partial(Asgi, skip=skip)


@pytest.mark.parametrize("inner", [{}, {"user": lambda scope: "inner"}], ids=["no functions", "user"])
def test_a_request_within_one_is_delivered_as_soon_as_an_async_skip_is_known(kept, inner):
    async def app(scope, receive, send):
        for _ in range(3):
            track("visited", account="acme")
            await send({})
        assert len(kept()) == 3

    asgi(*mounted(app, not_staff, **inner))
    assert kept.lost() == {}


def test_work_that_outlives_a_request_within_one_with_an_async_skip_is_not_tracked(kept):
    late = []

    async def staff(scope):
        return True

    async def app(scope, receive, send):
        late.append(journy_track.in_context(lambda: track("late", user="u9")))

    asgi(*mounted(app, staff, user=lambda scope: "inner"))
    late[0]()
    assert kept() == []
    assert kept.lost() == {"suppressed": 1}


def test_jobs_of_a_request_within_one_whose_skip_fails_are_marked(kept):
    carrier = {}

    async def app(scope, receive, send):
        journy_track.inject(carrier)

    asgi(*mounted(app, failing, user=lambda scope: "inner"))
    with journy_track.extract(carrier):
        track("job", user="u9")
    assert kept.lost() == {"suppressed": 1}


def test_a_device_of_a_request_within_one_with_an_async_skip_is_linked(kept):
    async def app(scope, receive, send):
        pass

    cookie = [(b"cookie", b"__journey=device-behind-an-async-skip")]
    asgi(*mounted(app, not_staff, user=lambda scope: "inner", link_devices=True), headers=cookie)
    assert names(kept()) == ["Link"]


def test_work_after_a_request_whose_user_has_changed_is_tracked(kept):
    session, late = {}, []

    async def app(scope, receive, send):
        track("visited", user="u1")
        session["user"] = "u2"
        scope["user"] = object()
        late.append(contextvars.copy_context())

    asgi(
        app, functools.partial(Asgi, user=lambda scope: session.get("user"), skip=lambda scope: False), user=object()
    )
    late[0].run(track, "late", user="u3")
    assert names(kept()) == ["visited", "late"]
    assert kept.lost() == {}


def test_scopes_of_a_request_that_may_be_skipped_leave_no_reference_cycle(kept):
    def alive():
        return sum(type(one) is requests.Within for one in gc.get_objects())

    def app(environ, start_response):
        before = alive()
        with journy_track.scope():
            assert alive() == before + 1
        assert alive() == before
        return []

    gc.collect()
    gc.disable()
    try:
        wsgi(Wsgi(app, skip=is_staff), REMOTE_USER="u1")
    finally:
        gc.enable()


@pytest.mark.parametrize("staff", [True, False])
def test_an_async_skip_is_awaited_and_events_wait_for_it(kept, staff):
    async def skip(scope):
        await asyncio.sleep(0)
        return staff

    async def app(scope, receive, send):
        track("visited")
        journy_track.delete_user("u2")
        assert kept.tracker.stats().queued == 2

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
