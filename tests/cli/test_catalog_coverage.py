"""`journy-track catalog --coverage`: the functions that frameworks call, and which of them track nothing."""

from __future__ import annotations

import json
import textwrap
import xml.etree.ElementTree as ET

import pytest

from .commands import journy, run, words


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the modules of a project to the current directory of the test."""
    monkeypatch.chdir(tmp_path)

    def files(**sources):
        for name, source in sources.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        return tmp_path

    return files


def covered():
    """Return whether each handler tracks, by its name."""
    ended = run("catalog", "--coverage", "--json")
    assert ended.exit_code == 0, ended.stderr
    return {one["name"]: one["tracks"] for one in json.loads(ended.stdout)["handlers"]}


def routes():
    document = json.loads(run("catalog", "--coverage", "--json").stdout)
    return {one["name"]: (one["kind"], *one["routes"]) for one in document["handlers"]}


# ── What frameworks call ──


def test_flask(write):
    write(
        shop="""
        from flask import Blueprint, Flask
        from flask.views import MethodView
        from flask_restful import Resource
        bp = Blueprint("shop", __name__, url_prefix="/shop")

        @bp.before_request
        def load_user(): ...
        @bp.route("/register", methods=("GET", "POST"))
        def register(): ...
        @bp.get("/orders")
        def orders(): ...
        @bp.cli.command("init-db")
        def init(): ...
        @bp.errorhandler(404)
        def not_found(error): ...

        class Items(MethodView):
            def get(self): ...
            def post(self): ...
            def helper(self): ...
        @bp.route("/pets")
        class Pets(MethodView):
            def get(self): ...
        class Orders(Resource):
            def delete(self): ...
        api.add_resource(Orders, "/orders")

        def create_app():
            app = Flask(__name__)
            @app.route("/hello")
            def hello(): ...
            app.add_url_rule("/items", view_func=Items.as_view("items"))
            app.add_url_rule("/", endpoint="index")
            return app
        """
    )
    assert routes() == {
        "shop.register": ("route", "GET POST /shop/register"),
        "shop.orders": ("route", "GET /shop/orders"),
        "shop.init": ("command", "init-db"),
        "shop.create_app.hello": ("route", "/hello"),
        "shop.Items.get": ("route", "/items"),
        "shop.Items.post": ("route", "/items"),
        "shop.Pets.get": ("route", "/shop/pets"),
        "shop.Orders.delete": ("route", "/orders"),
    }


def test_fastapi_and_starlette(write):
    write(
        api="""
        from fastapi import APIRouter, FastAPI
        from starlette.endpoints import HTTPEndpoint
        from starlette.routing import Mount, Route, WebSocketRoute
        app = FastAPI()
        router = APIRouter(prefix="/items")
        @router.get("/{id}", response_model=int)
        async def read(id): ...
        @app.websocket("/ws")
        async def socket(ws): ...
        def added(): ...
        app.add_api_route("/added", added, methods=["POST"])
        class Home(HTTPEndpoint):
            async def get(self, request): ...
        async def chat(ws): ...
        routes = [Route("/", Home), Mount("/in", routes=[WebSocketRoute("/chat", chat)])]
        @app.middleware("http")
        async def timed(request, call_next): ...
        settings = {}
        settings.get("/no/decorator")
        """
    )
    assert routes() == {
        "api.read": ("route", "GET /items/{id}"),
        "api.socket": ("route", "/ws"),
        "api.added": ("route", "POST /added"),
        "api.Home.get": ("route", "/"),
        "api.chat": ("route", "/chat"),
    }


DJANGO_URLS = """
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path
from django.views.generic import RedirectView, TemplateView
from rest_framework.routers import DefaultRouter
from . import views
from .views import detail_view

router = DefaultRouter()
router.register("invoices", views.Invoices)
urlpatterns = [
    path("", TemplateView.as_view(template_name="home.html")),
    path("old/", RedirectView.as_view(url="/")),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("shop/", include("shop.other")),
    path("api/", include(router.urls)),
    path("detail/<int:id>/", view=detail_view),
    re_path("^export/$", login_required(views.export)),
    path("again/", views.export),
    path("edit/", views.Edit.as_view()),
]
if settings.DEBUG:
    urlpatterns += [path("debug/", views.debug)]
"""
DJANGO_VIEWS = """
from django.views.generic import DetailView, FormView
from rest_framework import mixins
from rest_framework.decorators import action
from rest_framework.viewsets import GenericViewSet
class Detail(DetailView): ...
detail_view = Detail.as_view()
def export(request): ...
def debug(request): ...
class Edit(FormView):
    def get(self, request): ...
    def form_valid(self, form): ...
class Invoices(mixins.ListModelMixin, mixins.CreateModelMixin, GenericViewSet):
    def perform_create(self, serializer):
        pass
    @action(detail=True)
    def pay(self, request): ...
"""


def test_django_with_rest_framework_and_commands(write):
    write(
        shop__urls=DJANGO_URLS,
        shop__views=DJANGO_VIEWS,
        shop__other="from django.urls import path\nfrom . import views\nurlpatterns = [path('x/', views.export)]",
        shop__management__commands__clean="""
        from django.core.management import BaseCommand
        class Command(BaseCommand):
            def handle(self, *args, **options): ...
        """,
    )
    assert routes() == {
        "shop.urls.TemplateView": ("view", ""),
        "shop.views.Detail": ("view", "detail/<int:id>/"),
        "shop.views.export": ("view", "x/", "^export/$", "again/"),
        "shop.views.Edit": ("view", "edit/"),
        "shop.views.Invoices.list": ("view", "invoices"),
        "shop.views.Invoices.create": ("view", "invoices"),
        "shop.views.Invoices.pay": ("view", "invoices"),
        "shop.management.commands.clean.Command": ("command", "clean"),
    }
    assert json.loads(run("catalog", "--coverage", "--json").stdout)["not_looked_into"] == ["allauth.urls"]


def test_jobs_and_commands(write):
    write(
        jobs="""
        import click, dramatiq, typer
        from celery import Task, shared_task
        from rq import Queue
        from rq.decorators import job
        from invoke import task as other
        from .setup import celery_app
        @celery_app.task(bind=True)
        def retried(self): ...
        @shared_task
        def shared(): ...
        @dramatiq.actor(max_retries=3)
        def acted(): ...
        @job("default")
        def worked(): ...
        @other
        def not_a_job(): ...
        class Nightly(Task):
            def run(self): ...
        def counted(words): ...
        def later(): ...
        def send(queue: Queue, when):
            queue.enqueue(counted, "words")
            queue.enqueue_in(when, later)
        @click.group()
        def cli(): ...
        @cli.command("pay-all")
        def pay_all(): ...
        @click.command()
        def send_mail(): ...
        app = typer.Typer()
        @app.callback()
        def options(): ...
        def plain(): ...
        app.command()(plain)
        """,
        setup="from celery import Celery\ncelery_app = Celery()",
    )
    found = routes()
    assert {name: kind for name, (kind, *_) in found.items()} == {
        **dict.fromkeys(
            [f"jobs.{name}" for name in ("retried", "shared", "acted", "worked", "Nightly", "counted", "later")],
            "task",
        ),
        **dict.fromkeys(("jobs.pay_all", "jobs.send_mail", "jobs.plain"), "command"),
    }
    assert found["jobs.pay_all"][1:] == ("pay-all",)
    assert found["jobs.send_mail"][1:] == ("send-mail",)


def test_a_route_is_listed_also_where_its_function_cannot_be_named(write):
    write(
        shop__urls="""
        from django.conf import settings
        from django.urls import path
        from . import views
        urlpatterns = [path("a/", lambda request: None), path("b/", views.made()), path("c/", TABLE["c"])]
        if settings.DEBUG and settings.TOOLBAR:
            urlpatterns += [path("debug/", views.made())]
        """,
        shop__views="def made(): return unknown()",
        app="""
        from elsewhere.setup import app
        import invoke
        @app.get("/one")
        def read(): ...
        @app.get("/two")
        def read(): ...
        @invoke.task
        def not_a_job(): ...
        """,
    )
    handlers = json.loads(run("catalog", "--coverage", "--json").stdout)["handlers"]
    assert [(one["name"], *one["routes"]) for one in handlers] == [
        ("app.read", "GET /one"),
        ("app.read", "GET /two"),
        ("shop.urls.TABLE['c']", "c/"),
        ("shop.urls.lambda", "a/"),
        ("shop.views.made", "b/"),
    ]


def test_what_tests_define_is_no_product(write):
    route = "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef index(): ..."
    write(tests__app=route, test_app=route, shop__conftest=route, shop__app=route)
    assert list(covered()) == ["shop.app.index"]


# ── What tracks ──

TOOLS = """
import functools
from dataclasses import dataclass
from typing import Annotated
import journy_track
from journy_track import Client, Event, track_event
from fastapi import Depends

tracker = journy_track.configure()

@journy_track.event
class Paid(journy_track.TypedEvent):
    amount: int = 0

def pay(): journy_track.track("paid")
def pay_deeply(): return pay()
def nothing(): journy_track.set_user("u1")

class Service:
    def __init__(self, client: Client | None = None): self.client = client
    def pay(self): pay()
    def look(self): ...
    def upsert(self): self.client.upsert_user(user_id="u1")
class Special(Service): ...
service = Service()
def get_service() -> Service: return Service()

def audited(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        journy_track.track("audited")
        return function(*args, **kwargs)
    return wrapper
def viewed(): journy_track.track("viewed")
Viewed = Annotated[None, Depends(viewed)]
"""


@pytest.mark.parametrize(
    ("code", "tracks"),
    [
        ("def f(): journy_track.track('a')", True),
        ("def f(): journy_track.upsert_user(user='u1', plan='pro')", True),
        ("def f(): tools.tracker.track('a')", True),
        ("def f():\n    with journy_track.Client('k') as client: client.add_event(event)", True),
        ("def f(): tools.Paid(amount=3).track()", True),
        ("def f():\n    paid = tools.Paid()\n    paid.track()", True),
        ("def f(): journy_track.track(tools.Paid())", True),
        ("@track_event\ndef f(): ...", True),
        ("@track_event(tools.Paid)\ndef f(): return tools.Paid()", True),
        ("@tools.audited\ndef f(): ...", True),
        ("def f(): tools.pay()", True),
        ("def f(): tools.pay_deeply()", True),
        ("def f(): pay_again()", True),
        ("def f(): on_commit(tools.pay)", True),
        ("def f(): on_commit(lambda: tools.pay())", True),
        ("def f(): tools.service.pay()", True),
        ("def f(): tools.Special().pay()", True),
        ("def f(service: tools.Service): service.pay()", True),
        ("def f(service: 'tools.Service | None'): service.upsert()", True),
        ("def f(service=Depends(tools.get_service)): tools.get_service().pay()", True),
        ("def f(_=Depends(tools.viewed)): ...", True),
        ("def f(_: tools.Viewed): ...", True),
        ("def f():\n    def inner(): journy_track.track('a')\n    on_commit(inner)", True),
        ("def f():\n    @on_commit\n    def inner(): journy_track.track('a')", True),
        ("def f():\n    class Made:\n        def __init__(self): tools.pay()\n    Made()", True),
        ("def f(track_event=track_event): track_event('a')", True),
        ("def f():\n    def inner(): journy_track.track('a')", False),
        ("def f():\n    class Made:\n        def method(self): tools.pay()\n    Made()", False),
        ("def f(track_event): track_event('a')", False),
        ("def f(*, tools): tools.pay()", False),
        ("def f(): pass", False),
        ("def f(): journy_track.set_user('u1')", False),
        ("def f(): tools.nothing()", False),
        ("def f(): tools.service.look()", False),
        ("def f(): tools.Paid()", False),
        ("def f(): other.track('a')", False),
        ("def f(): unknown()", False),
    ],
)
def test_a_handler_tracks_by_itself_or_by_what_it_uses(write, code, tracks):
    head, function = code.rsplit("def f(", 1)
    write(
        shop__tools=TOOLS,
        shop__app="import journy_track\nfrom flask import Flask\nfrom fastapi import Depends\n"
        "from journy_track import track_event\nfrom shop import tools\nfrom .tools import pay as pay_again\n"
        f"app = Flask(__name__)\n@app.route('/')\n{head}def f({function}\n",
    )
    assert covered() == {"shop.app.f": tracks}


def test_track_event_above_the_frameworks_decorator_tracks_nothing(write):
    write(
        app="""
        from flask import Flask
        from journy_track import track_event
        app = Flask(__name__)
        @track_event("a")
        @app.route("/")
        def f(): ...
        """
    )
    assert covered() == {"app.f": False}
    assert "move @track_event down" in run("catalog", "--coverage").stdout


def test_a_factory_does_not_track_by_the_routes_that_it_makes(write):
    write(
        app="""
        import click, journy_track
        from flask import Flask
        def create_app():
            app = Flask(__name__)
            @app.route("/")
            def index(): journy_track.track("a")
            return app
        @click.command()
        def init(): create_app()
        """
    )
    assert covered() == {"app.create_app.index": True, "app.init": False}


def test_what_a_factory_makes_is_known_to_its_routes(write):
    write(
        tools=TOOLS,
        app="""
        from flask import Flask
        import tools
        def create_app():
            app = Flask(__name__)
            service = tools.Service()
            @app.route("/pay")
            def pay(): service.pay()
            return app
        """,
    )
    assert covered() == {"app.create_app.pay": True}


def test_names_that_a_package_takes_from_its_modules_are_found(write):
    folder = write(
        shop__urls="from django.urls import path\nfrom . import views\nurlpatterns = [path('pay/', views.pay)]",
        shop__views__orders="import journy_track\ndef pay(request): journy_track.track('paid')",
    )
    (folder / "shop/views/__init__.py").write_text("from .orders import *")
    assert covered() == {"shop.views.orders.pay": True}


def test_classes_of_views(write):
    write(
        shop__urls="""
        from django.urls import path
        from journy_track import track_event
        from . import views
        urlpatterns = [
            path("a/", views.Edit.as_view()), path("b/", views.Look.as_view()),
            path("c/", track_event("viewed")(views.plain)), path("d/", views.Items.as_view()),
        ]
        """,
        shop__views="""
        import journy_track
        from django.views.generic import FormView
        from rest_framework.generics import ListCreateAPIView
        class Base(FormView):
            def form_valid(self, form): journy_track.track("edited")
        class Edit(Base): ...
        class Look(FormView):
            def get(self, request): ...
        def plain(request): ...
        class Items(ListCreateAPIView):
            def perform_create(self, serializer): journy_track.track("created")
        """,
    )
    assert covered() == {
        "shop.views.Edit": True,
        "shop.views.Look": False,
        "shop.views.plain": True,
        "shop.views.Items.list": False,
        "shop.views.Items.create": True,
    }


def test_modules_that_use_each_other_do_not_hold_it_up(write):
    write(
        a="from b import g\nimport click\nclass A(B): ...\nclass B(A): ...\nx = y\ny = x\n"
        "@click.command()\ndef f(): g()\n",
        b="from a import f, x\ndef g(): f(), x.z()\n",
    )
    assert covered() == {"a.f": False}


# ── What it prints ──

APP = """
import journy_track
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index(): ...
@app.get("/health")
def health(): ...
@app.post("/pay")
def pay(): journy_track.track("paid")
"""


def test_it_prints_what_tracks_nothing_and_a_sentence(write):
    write(src__shop__app=APP)
    ended = run("catalog", "--coverage")
    assert ended.exit_code == 0
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["src/shop/app.py"],
        ["6", "route", "index", "GET", "/"],
        ["8", "route", "health", "GET", "/health"],
        [],
        ["1", "of", "3", "routes,", "views,", "tasks", "and", "commands", "track", "something:", "33", "%."],
    ]


@pytest.mark.parametrize("pattern", ["shop.app.health", "shop.*.h*", "GET /health"])
def test_what_is_on_the_allow_list_is_not_counted(write, pattern):
    folder = write(src__shop__app=APP)
    (folder / "pyproject.toml").write_text(f"[tool.journy_track.coverage]\nallow = [{pattern!r}, 'shop.gone']\n")
    ended = run("catalog", "--coverage", "--fail-under", "50")
    assert ended.exit_code == 0
    assert "health" not in ended.stdout
    assert "1 of 2" in ended.stdout
    assert "On the allow-list, and not counted: 1." in ended.stdout
    assert "'shop.gone'" in words(ended.stderr)
    assert pattern not in words(ended.stderr)
    assert run("catalog", "--coverage", "--fail-under", "50.1").exit_code == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("[tool.journy_track.coverage]\nallow = 'a'", "must be a list of patterns"),
        ("[tool.journy_track.coverage]\nallowed = ['a']", "has no setting 'allowed'"),
        ("[tool.journy_track]\ncoverage = 3", "must be a list of patterns"),
        ("[tool", "Cannot read pyproject.toml"),
    ],
)
def test_wrong_settings_are_wrong_usage(write, settings, said):
    folder = write(app=APP)
    (folder / "pyproject.toml").write_text(settings)
    ended = run("catalog", "--coverage")
    assert ended.exit_code == 2
    assert said in words(ended.stderr)


def test_wrong_options_are_wrong_usage(write):
    write(app=APP)
    assert run("catalog", "--coverage", "--check", "a.md").exit_code == 2
    assert run("catalog", "--coverage", "--format", "schema").exit_code == 2
    assert run("catalog", "--fail-under", "3").exit_code == 2
    assert run("catalog", "--badge", "a.svg").exit_code == 2
    assert run("catalog", "--coverage", "--fail-under", "101").exit_code == 2


def test_github_gets_annotations(write):
    write(app=APP)
    ended = run("catalog", "--coverage", "--format", "github", "--fail-under", "80")
    assert ended.exit_code == 1
    assert ended.stdout.splitlines() == [
        "::warning file=app.py,line=6::The route app.index (GET /) tracks nothing.",
        "::warning file=app.py,line=8::The route app.health (GET /health) tracks nothing.",
        "::error::33 %25 is less than --fail-under 80.",
    ]


def test_a_badge_is_an_image_without_anything_from_elsewhere(write):
    folder = write(app=APP)
    assert run("catalog", "--coverage", "--badge", "coverage.svg").exit_code == 0
    badge = ET.fromstring((folder / "coverage.svg").read_text())
    texts = [element.text for element in badge.iter() if element.tag.endswith("text")]
    assert texts == ["journy coverage", "33 %"]
    assert "href" not in (folder / "coverage.svg").read_text()
    assert run("catalog", "--coverage", "--badge", "nowhere/coverage.svg").exit_code == 1


def test_an_app_without_handlers_and_a_file_that_is_not_python(write):
    write(app="import journy_track")
    ended = run("catalog", "--coverage", "--fail-under", "100")
    assert (ended.exit_code, words(ended.stdout)) == (0, "No route, view, task or command is registered here.")
    write(old="print 'hello'")
    ended = run("catalog", "--coverage")
    assert ended.exit_code == 1
    assert "old.py is not Python" in words(ended.stderr)


def test_a_file_that_is_nested_too_deeply_is_named_and_the_others_are_read(write):
    write(app=APP, sums=f"x = {'+'.join(['1'] * 900)}")
    ended = run("catalog", "--coverage")
    assert ended.exit_code == 1
    assert "1 of 3" in ended.stdout
    assert "sums.py is nested too deeply" in words(ended.stderr)


@pytest.mark.slow
def test_nothing_of_the_code_runs(write):
    folder = write(app=f"{APP}\nraise SystemExit('it ran')")
    ended = journy("catalog", "--coverage", cwd=folder)
    assert ended.returncode == 0
    assert "1 of 3" in ended.stdout
