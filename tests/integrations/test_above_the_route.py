"""A decorator above the framework's own: the framework calls the undecorated function, and we warn."""

from __future__ import annotations

import asyncio
import runpy
import textwrap

import pytest

import journy_track
from journy_track import InvalidArgument, testing, track_event
from journy_track._capture import routes
from journy_track.integrations.asgi import JournyMiddleware

pytestmark = pytest.mark.filterwarnings("ignore:[^$]*on_event is deprecated")
WARNING = "is above the decorator that registered"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the source of an app module, `shop.py`, and returns its names."""

    def run(source: str) -> dict:
        path = tmp_path / "shop.py"
        path.write_text(textwrap.dedent(source))
        return runpy.run_path(str(path))

    return run


@pytest.fixture(autouse=True)
def _nothing_warned_of_yet():
    kept = routes.hints[:]
    routes.hints.clear()
    yield
    routes.hints[:] = kept


@pytest.fixture
def warnings(caplog):
    """Return the warnings so far about functions above their routes."""
    return lambda: [record.getMessage() for record in caplog.records if WARNING in record.getMessage()]


# ── Apps at module level, and app factories: how to import, make and serve them ──

FLASK = """
from flask import Flask, Blueprint
app = Flask(__name__)
"""
FASTAPI = """
from fastapi import FastAPI
app = FastAPI()
"""
FASTAPI_ROUTER = """
from fastapi import APIRouter
app = APIRouter()
"""
STARLETTE = """
from starlette.applications import Starlette
from starlette.routing import Route
app = Starlette()
def route(path):
    def add(function):
        app.router.routes.append(Route(path, function))
        return function
    return add
"""
TYPER = """
import typer
app = typer.Typer()
"""
DJANGO_SIGNAL = """
from django.dispatch import Signal, receiver
app = Signal()
"""
BLINKER = """
import blinker
app = blinker.Signal()
"""
CELERY_SIGNAL = """
from celery.utils.dispatch import Signal
app = Signal()
"""
REGISTERED = [
    ("flask", FLASK, "@app.post('/projects')"),
    ("flask", FLASK, "@app.before_request"),
    ("flask", FLASK, "@app.errorhandler(404)"),
    ("fastapi", FASTAPI, "@app.post('/projects')"),
    ("fastapi", FASTAPI, "@app.exception_handler(KeyError)"),
    ("fastapi", FASTAPI, "@app.on_event('startup')"),
    ("fastapi", FASTAPI_ROUTER, "@app.post('/projects')"),
    ("starlette", STARLETTE, "@route('/projects')"),
    ("typer", TYPER, "@app.command()"),
    ("typer", TYPER, "@app.callback()"),
    ("django", DJANGO_SIGNAL, "@receiver(app)"),
    ("blinker", BLINKER, "@app.connect"),
    ("celery", CELERY_SIGNAL, "@app.connect(weak=False)"),
]
EACH = pytest.mark.parametrize(("package", "app", "registers"), REGISTERED, ids=lambda value: value.strip())
OURS = ["@track_event", "@track_event('made', user='u1')", "@journy_track.user('u1')", "@journy_track.scope()"]


@pytest.mark.slow
@EACH
@pytest.mark.parametrize("ours", OURS)
def test_a_decorator_above_the_one_that_registers_is_warned_of_at_start(run, warnings, package, app, registers, ours):
    pytest.importorskip(package)
    source = f"""{app}
import journy_track
from journy_track import track_event
{ours}
{registers}
def create_project(*args, **kwargs):
    return ''
"""
    run(source)
    [warning] = warnings()
    line = source[: source.index(ours)].count("\n") + 1
    name = ours.partition("(")[0] + "()" * ("journy_track." in ours)
    name = name.replace("journy_track.", "")
    assert warning.startswith(f"{name} is above the decorator that registered create_project (")
    assert f"shop.py:{line})" in warning
    assert f"Put {name} below that decorator (such as @" in warning


@EACH
@pytest.mark.parametrize("ours", OURS)
def test_the_right_order_is_not_warned_of(run, warnings, package, app, registers, ours):
    pytest.importorskip(package)
    run(f"""{app}
import journy_track
from journy_track import track_event
{registers}
{ours}
def create_project(*args, **kwargs):
    return ''
""")
    assert warnings() == []


def test_a_blueprint_is_looked_at_when_its_app_serves(run, warnings):
    flask = pytest.importorskip("flask")
    from journy_track.integrations.flask import instrument_flask

    shop = run("""
        from flask import Blueprint
        from journy_track import track_event
        shop = Blueprint("shop", __name__)
        @track_event
        @shop.get("/")
        def opened_shop(): return ""
    """)
    app = flask.Flask(__name__)
    instrument_flask(app)
    app.register_blueprint(shop["shop"])
    assert warnings() == []
    assert app.test_client().get("/").status_code == 200
    [warning] = warnings()
    assert "opened_shop" in warning


# ── App factories: the warning comes at the first request ──


def made_by_flask(decorate, path="/"):
    flask = pytest.importorskip("flask")
    from journy_track.integrations.flask import instrument_flask

    app = flask.Flask(__name__)
    instrument_flask(app)
    decorate(app)
    return lambda: app.test_client().get(path).status_code


def flask_in_wsgi(decorate):
    flask = pytest.importorskip("flask")
    from journy_track.integrations.wsgi import JournyMiddleware

    app = flask.Flask(__name__)
    app.wsgi_app = JournyMiddleware(app.wsgi_app)
    decorate(app)
    return lambda: app.test_client().get("/").status_code


def asgi_status(app, path="/"):
    """Return the status of an ASGI app's response."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [], "root_path": "", "scheme": "http", "http_version": "1.1", "client": None}
    scope |= {"server": ("test", 80), "asgi": {"version": "3.0"}}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"]


def made_by_fastapi(decorate):
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    app.add_middleware(JournyMiddleware)
    decorate(app)
    return lambda: asgi_status(app)


def fastapi_in_another_middleware(decorate):
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    decorate(app)

    async def theirs(scope, receive, send):
        await app(scope, receive, send)

    return lambda: asgi_status(JournyMiddleware(theirs))


def router_of_fastapi(decorate):
    fastapi = pytest.importorskip("fastapi")
    app, router = fastapi.FastAPI(), fastapi.APIRouter()
    app.add_middleware(JournyMiddleware)
    decorate(router)
    app.include_router(router, prefix="/v1")
    return lambda: asgi_status(app, "/v1/")


def fastapi_that_is_mounted(decorate):
    fastapi = pytest.importorskip("fastapi")
    app, inner = fastapi.FastAPI(), fastapi.FastAPI()
    app.add_middleware(JournyMiddleware)
    decorate(inner)
    app.mount("/v1", inner)
    return lambda: asgi_status(app, "/v1/")


MADE = pytest.mark.parametrize(
    "made",
    [
        made_by_flask,
        flask_in_wsgi,
        made_by_fastapi,
        fastapi_in_another_middleware,
        router_of_fastapi,
        fastapi_that_is_mounted,
    ],
)


def above(app) -> None:
    @track_event
    @app.get("/")
    def opened_shop():
        return ""


def right(app) -> None:
    @app.get("/")
    @track_event
    def opened_shop():
        return ""


def twice(app) -> None:
    @app.get("/")
    @track_event
    @app.get("/health")
    def opened_shop():
        return ""


def aside(app) -> None:
    @app.get("/")
    def opened_shop():
        return ""

    tracked = track_event(opened_shop)
    assert tracked() == ""


@MADE
def test_an_app_that_a_function_makes_is_looked_at_in_its_first_request(warnings, made):
    serve = made(above)
    assert warnings() == []
    assert [serve(), serve()] == [200, 200]
    [warning] = warnings()
    assert "opened_shop" in warning
    assert "Put @track_event below that decorator (such as @app.post)" in warning


@MADE
@pytest.mark.parametrize("decorate", [right, aside])
def test_what_is_meant_is_not_warned_of(warnings, made, decorate):
    assert made(decorate)() == 200
    assert warnings() == []


def test_what_is_registered_bare_too_for_another_path_is_not_warned_of(warnings):
    assert made_by_fastapi(twice)() == 200
    assert warnings() == []


def test_the_same_function_in_two_apps_is_warned_of_once(warnings):
    assert [made_by_flask(above)(), made_by_fastapi(above)()] == [200, 200]
    assert len(warnings()) == 1


def test_a_websocket_is_looked_at(run, warnings):
    pytest.importorskip("fastapi")
    run("""
        from fastapi import FastAPI
        from journy_track import track_event
        app = FastAPI()
        @track_event
        @app.websocket("/")
        async def joined(websocket): ...
    """)
    assert len(warnings()) == 1


def test_the_urls_of_django_are_looked_at_in_the_first_request(run_program):
    pytest.importorskip("django")
    ran = run_program(
        """
        import django
        from django.conf import settings
        settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"],
                           MIDDLEWARE=["journy_track.integrations.django.JournyMiddleware"])
        django.setup()
        from django.http import HttpResponse
        from django.urls import include, path
        from journy_track import track_event

        inner = []
        def route(address):
            def add(view):
                inner.append(path(address, view))
                return view
            return add

        @track_event
        @route("above")
        def opened_shop(request):
            return HttpResponse()

        @route("right")
        @track_event
        def opened_cart(request):
            return HttpResponse()

        urlpatterns = [path("shop/", include(inner))]
        from django.test import Client
        print([Client().get(f"/shop/{name}").status_code for name in ("right", "above", "above")])
        """
    )
    assert ran.out == "[200, 200, 200]\n", ran.err
    assert ran.err.count(WARNING) == 1
    assert "that registered opened_shop" in ran.err


# ── Other decorators around ──


def test_a_decorator_between_the_two_hides_nothing(run, warnings):
    pytest.importorskip("flask")
    shop = run("""
        import functools
        from flask import Flask
        from journy_track import track_event
        app = Flask(__name__)
        def signed_in(function):
            @functools.wraps(function)
            def checked(*args): return function(*args)
            return checked

        @track_event
        @app.get("/1")
        @signed_in
        def first(): return ""

        @track_event
        @signed_in
        @app.get("/2")
        def second(): return ""

        @app.get("/3")
        @signed_in
        @track_event
        def third(): return ""

        @app.get("/4")
        @track_event
        @signed_in
        def fourth(): return ""
    """)
    assert ["first" in warnings()[0], "second" in warnings()[1], len(warnings())] == [True, True, 2]
    assert shop["app"].test_client().get("/1").status_code == 200


def test_the_helper_of_a_company_around_track_event_hides_nothing(run, warnings):
    pytest.importorskip("flask")
    run("""
        from flask import Flask
        from journy_track import track_event
        app = Flask(__name__)
        def tracked(**options):
            return lambda function: track_event(function.__name__, **options)(function)

        @tracked(
            duration=True,
        )
        @app.get(
            "/",
        )
        def opened_shop(): return ""
    """)
    [warning] = warnings()
    assert "opened_shop" in warning


def test_in_a_prompt_where_every_statement_is_line_one_nothing_is_warned_of(warnings):
    flask = pytest.importorskip("flask")
    names = {"app": flask.Flask("shop"), "track_event": track_event}
    for statement in ("@app.get('/')\ndef opened_shop(): return ''\n", "tracked = track_event(opened_shop)"):
        exec(compile(statement, "<stdin>", "exec"), names)
    assert names["tracked"]() == ""
    assert warnings() == []


def test_of_two_events_the_one_above_the_route_is_warned_of(run, warnings):
    pytest.importorskip("flask")
    run("""
        from flask import Flask
        from journy_track import track_event
        app = Flask(__name__)

        @track_event("never")
        @app.get("/")
        @track_event("always")
        def opened_shop(): return ""
    """)
    assert len(warnings()) == 1


# ── It does no harm ──


def test_a_lazy_object_beside_the_function_is_not_evaluated(run, warnings):
    pytest.importorskip("flask")
    run("""
        from flask import Flask
        from journy_track import track_event
        class Lazy:
            @property
            def __class__(self): raise AssertionError("evaluated")
            def __getattr__(self, name): raise AssertionError("evaluated")
        settings = Lazy()
        app = Flask(__name__)
        app.view_functions["lazy"] = settings

        @track_event
        @app.get("/")
        def opened_shop(): return ""
    """)
    assert len(warnings()) == 1


def test_an_app_that_cannot_be_looked_at_is_left_alone(run, warnings):
    pytest.importorskip("flask")
    shop = run("""
        from flask import Flask
        from journy_track import track_event
        class Broken(Flask):
            broken = False
            def __getattribute__(self, name):
                if name == "view_functions" and Broken.broken: raise RuntimeError
                return super().__getattribute__(name)
        app = Broken(__name__)
        def breaks(function):
            Broken.broken = True
            return function

        @track_event
        @breaks
        @app.get("/")
        def opened_shop(): return ""
    """)
    routes.look_at(shop["app"])
    assert warnings() == []


def test_a_decorated_function_that_is_gone_is_forgotten():
    def decorate_one() -> None:
        @track_event
        def local() -> int:
            return 1

        assert len(routes._decorated) == before + 1
        assert local() == 1

    before = len(routes._decorated)
    decorate_one()
    assert len(routes._decorated) == before


def test_a_test_that_misses_the_event_shows_why_and_the_warning_is_not_repeated(run, warnings):
    pytest.importorskip("flask")
    shop = run("""
        from flask import Flask
        from journy_track import track_event
        from journy_track.integrations.flask import instrument_flask
        app = Flask(__name__)
        instrument_flask(app)
        @track_event(user="u1")
        @app.post("/projects")
        def created_project(): return ""
    """)
    with testing.capture() as events:
        assert shop["app"].test_client().post("/projects").status_code == 200
        with pytest.raises(AssertionError, match=f"(?s)captured:.*nothing.*{WARNING} created_project"):
            events.assert_tracked("created_project")
    assert len(warnings()) == 1


# ── What is refused instead: the framework's decorator returns another object ──


def opened_shop() -> None: ...


def litestar_handler():
    litestar = pytest.importorskip("litestar")

    @litestar.get("/")
    async def handler() -> None: ...

    return handler


def litestar_listener():
    pytest.importorskip("litestar")
    from litestar.events import listener

    @listener("signed_up")
    async def handler() -> None: ...

    return handler


def celery_task():
    celery = pytest.importorskip("celery")
    return celery.Celery("shop", broker="memory://", set_as_current=False).task(opened_shop)


def celery_shared_task():
    celery = pytest.importorskip("celery")
    return celery.shared_task(opened_shop)


def click_command():
    click = pytest.importorskip("click")
    return click.command()(opened_shop)


@pytest.mark.slow
@pytest.mark.parametrize(
    "registered", [litestar_handler, litestar_listener, celery_task, celery_shared_task, click_command]
)
@pytest.mark.parametrize("decorate", [track_event("made"), journy_track.user("u1")], ids=["event", "block"])
def test_what_its_framework_has_registered_already_is_refused(registered, decorate):
    thing = registered()
    with pytest.raises(InvalidArgument, match=r"already registered.*: put @.* below the framework's own"):
        decorate(thing)
