"""Every example in a docstring runs against the inspector, and sends the requests listed here."""

from __future__ import annotations

import textwrap
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass

import pytest

import journy_track

from .reading import Block, code_in_prose, docstring_blocks
from .telling import told


@dataclass(frozen=True)
class Example:
    """Code to run before and after an example, and the requests that arrive."""

    before: str = ""
    after: str = ""
    #: The ID of the user for whom it runs.
    user: str | None = None
    requests: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotRun:
    """The reason why an example cannot run."""

    reason: str


ASK_WSGI = """
    environ = {"REMOTE_USER": "u1", "REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    assert b"".join(app(environ, lambda status, headers: None)) == b"hello"
"""

#: Examples by dotted name, in the order of the docstring.
EXAMPLES: dict[str, list[Example | NotRun]] = {
    "journy_track": [
        Example(
            requests=(
                "POST /track signed_in user=u1 email=jane@acme.com account=acme",
                'POST /track updated_settings user=u1 email=jane@acme.com account=acme {"theme": "dark"}',
            )
        )
    ],
    "journy_track._runtime.bulk": [
        Example(
            before="""
                from types import SimpleNamespace

                accounts = [SimpleNamespace(id="acme", plan="pro")]
            """,
            requests=('POST /accounts/upsert account=acme {"plan": "pro"}',),
        )
    ],
    "journy_track._sync.syncing.sync_accounts": [
        Example(
            before="""
                from types import SimpleNamespace

                accounts = [SimpleNamespace(id="acme", plan="pro", seats=10)]
            """,
            after="assert report.delivered == 1",
            requests=('POST /accounts/upsert account=acme {"plan": "pro", "seats": 10}',),
        )
    ],
    "journy_track._typed.event": [
        Example(
            before="from typing import Literal",
            requests=('POST /track signed_up user=u1 {"plan": "pro", "seats": 1}',),
        )
    ],
    "journy_track.integrations.asgi.JournyMiddleware": [
        Example(
            before="""
                from starlette.applications import Starlette
                from starlette.responses import PlainTextResponse
                from starlette.routing import Route
                from journy_track.integrations.asgi import JournyMiddleware

                def page(request):
                    journy_track.track("opened_page")
                    return PlainTextResponse("hello")

                app = Starlette(routes=[Route("/", page)])
            """,
            after="""
                import asyncio
                from types import SimpleNamespace

                async def ask():
                    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [],
                             "query_string": b"", "user": SimpleNamespace(id="u1")}
                    sent = []
                    async def receive():
                        return {"type": "http.request", "body": b"", "more_body": False}
                    async def send(message):
                        sent.append(message)
                    await app(scope, receive, send)
                    assert sent[0]["status"] == 200

                asyncio.run(ask())
            """,
            requests=("POST /track opened_page user=u1",),
        )
    ],
    "journy_track.integrations.aiohttp.JournyMiddleware": [
        Example(
            before="from aiohttp import web\nfrom journy_track.integrations.aiohttp import JournyMiddleware",
            after="assert len(app.middlewares) == 1",
        )
    ],
    "journy_track.integrations.click.instrument_click": [
        Example(
            before="""
                import click, typer
                from journy_track.integrations.click import instrument_click, system_user

                cli, app = click.Group("cli"), typer.Typer()

                @app.command()
                def visit():
                    journy_track.track("visited", user=journy_track.current_context().user and "whoever")
            """,
            after="run([], standalone_mode=False)",
            requests=("POST /track visited user=whoever",),
        )
    ],
    "journy_track.integrations.grpc.JournyInterceptor": [
        Example(
            before="""
                import grpc
                from concurrent.futures import ThreadPoolExecutor
                from journy_track.integrations.grpc import JournyInterceptor

                pool = ThreadPoolExecutor(1)
            """
        )
    ],
    "journy_track.integrations.grpc.AsyncJournyInterceptor": [NotRun("needs a running event loop")],
    "journy_track.integrations.jupyter.instrument_jupyter": [NotRun("a line of a notebook")],
    "journy_track.integrations.opentelemetry.JournyPropagator": [NotRun("a line of a shell")],
    "journy_track.integrations.tornado.JournyHandlerMixin": [
        Example(
            before="import tornado.web\nfrom journy_track.integrations.tornado import JournyHandlerMixin",
            after="assert set(Handler._journy_callbacks.functions) == {'user'}",
        )
    ],
    "journy_track._metrics.opentelemetry.instrument_metrics": [Example()],
    "journy_track.integrations.opentelemetry.JournySpanProcessor": [
        Example(
            before="""
                from opentelemetry.sdk.trace import TracerProvider
                from journy_track.integrations.opentelemetry import JournySpanProcessor

                provider = TracerProvider()
            """,
            after="assert provider.get_tracer('x').start_span('y').attributes == {'enduser.id': 'u1'}",
            user="u1",
        )
    ],
    "journy_track.integrations.logging.JournyFilter": [
        Example(
            before="""
                import logging
                from journy_track.integrations.logging import JournyFilter

                handler = logging.StreamHandler()
            """,
            after="""
                record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO"})
                assert handler.filter(record) and handler.format(record) == "INFO user=u1 account=None hello"
            """,
            user="u1",
        )
    ],
    "journy_track.integrations.structlog.add_identity": [
        Example(
            before="import structlog\nfrom journy_track.integrations.structlog import add_identity",
            after="structlog.get_logger().info('hello')\nstructlog.reset_defaults()",
        )
    ],
    "journy_track.integrations.jinja2.instrument_jinja2": [
        Example(
            before="""
                import os
                from types import SimpleNamespace
                from jinja2 import Environment
                from journy_track.integrations.jinja2 import instrument_jinja2

                os.environ["WEBSITE_SECRET"] = "secret"
                app, templates = SimpleNamespace(jinja_env=Environment()), SimpleNamespace(env=Environment())
            """,
            after="assert callable(app.jinja_env.globals['journy_snippet'])",
        )
    ],
    "journy_track.integrations.django_snippet.journy_snippet": [
        Example(
            before="""
                import os
                os.environ["WEBSITE_SECRET"] = "secret"
                TEMPLATES = [{"OPTIONS": {}}]
            """,
            after="""
                from importlib import import_module
                (library,) = TEMPLATES[0]["OPTIONS"]["builtins"]
                assert "journy_snippet" in import_module(library).register.tags
            """,
        )
    ],
    "journy_track.integrations.celery": [
        Example(
            before="from celery import Celery\nfrom journy_track.integrations.celery import instrument_celery",
            after="""
                app.conf.update(task_always_eager=True, task_store_eager_result=False)

                @app.task
                @track_event("exported_report")
                def export_report(): ...

                export_report.delay()
            """,
            user="u1",
            requests=("POST /track exported_report user=u1",),
        )
    ],
    "journy_track.integrations.apscheduler": [
        Example(
            before="""
                from apscheduler.schedulers.background import BackgroundScheduler
                from journy_track.integrations.apscheduler import instrument_apscheduler
            """,
            after="assert scheduler.add_job(print).kwargs == {}",
        )
    ],
    "journy_track.integrations.arq": [
        Example(
            before="""
                from journy_track.integrations.arq import instrument_arq
            """,
            after="from arq.worker import Worker; assert Worker.run_job.__wrapped__",
        )
    ],
    "journy_track.integrations.django_tasks": [
        Example(
            before="""
                from journy_track.integrations.django_tasks import instrument_django_tasks
            """,
            after="from django_tasks.base import Task; assert Task.call.__wrapped__",
        )
    ],
    "journy_track.integrations.dramatiq": [
        Example(
            before="""
                from dramatiq.brokers.redis import RedisBroker
                from journy_track.integrations.dramatiq import JournyMiddleware, instrument_dramatiq
            """,
            after="assert isinstance(broker.middleware[0], JournyMiddleware)",
        )
    ],
    "journy_track.integrations.huey": [
        Example(
            before="""
                from huey import RedisHuey
                from journy_track.integrations.huey import instrument_huey
            """,
            after="assert huey.name == 'shop'",
        )
    ],
    "journy_track.integrations.rq": [
        Example(
            before="""
                from journy_track.integrations.rq import instrument_rq
            """,
            after="from rq.job import Job; assert Job.create.__wrapped__",
        )
    ],
    "journy_track.integrations.taskiq": [
        Example(
            before="""
                from taskiq import InMemoryBroker
                from journy_track.integrations.taskiq import JournyMiddleware, instrument_taskiq
            """,
            after="assert isinstance(broker.middlewares[0], JournyMiddleware)",
        )
    ],
    # `test_blocks.py` runs the whole setup in the README's own block.
    "journy_track.integrations.django.JournyMiddleware": [
        Example(
            before="MIDDLEWARE = []",
            after="from django.utils.module_loading import import_string\nassert import_string(MIDDLEWARE[0])",
        ),
        Example(
            after="""
                from journy_track.integrations.django._settings import OPTIONS

                assert set(JOURNY) == set(OPTIONS)
            """
        ),
    ],
    "journy_track.integrations.django.apps.JournyConfig": [
        Example(
            before="""
                from pathlib import Path

                BASE_DIR, INSTALLED_APPS = Path(), []
            """,
            after="""
                from journy_track.integrations.django._settings import OPTIONS, keys_of, sync_of

                assert sync_of(keys_of("JOURNY", JOURNY, OPTIONS))
            """,
        )
    ],
    "journy_track.integrations.flask.instrument_flask": [
        Example(
            before="""
                from types import SimpleNamespace
                from flask import Flask
                from journy_track.integrations.flask import instrument_flask

                app, current_user = Flask("shop"), SimpleNamespace(get_id=lambda: "u1")

                @app.get("/")
                @track_event("opened_page")
                def page():
                    return "hello"
            """,
            after="assert app.test_client().get('/').text == 'hello'",
            requests=("POST /track opened_page user=u1",),
        )
    ],
    "journy_track.integrations.logging.JournyHandler": [
        Example(
            before="""
                import logging
                from journy_track.integrations.logging import JournyHandler

                log = logging.getLogger("shop")
                log.setLevel("INFO")
            """,
            user="u1",
            requests=('POST /track signed_in user=u1 {"method": "sso"}',),
        )
    ],
    "journy_track.integrations.sqlalchemy": [
        Example(
            before="""
                from sqlalchemy import create_engine
                from sqlalchemy.orm import sessionmaker
                from journy_track.integrations.sqlalchemy import instrument_sqlalchemy

                engine = create_engine("sqlite://")
            """,
            after="""
                for commits in (True, False):
                    with Session.begin() as session:
                        journy_track.track("paid", committed=commits, after_commit=True)
                        commits or session.rollback()
            """,
            user="u1",
            requests=('POST /track paid user=u1 {"committed": true}',),
        )
    ],
    "journy_track.integrations.wsgi.JournyMiddleware": [
        Example(
            before="""
                from journy_track.integrations.wsgi import JournyMiddleware

                def app(environ, start_response):
                    journy_track.track("opened_page")
                    start_response("200 OK", [])
                    return [b"hello"]
            """,
            after=ASK_WSGI,
            requests=("POST /track opened_page user=u1",),
        )
    ],
    "journy_track.testing": [Example(before="def sign_in(user):\n    journy_track.track('signed_in', user=user)")],
}

BLOCKS = docstring_blocks()


def said_of(block: Block) -> Example | NotRun | None:
    """Return the entry for a block in EXAMPLES, `None` when there is none."""
    known = EXAMPLES.get(block.section, [])
    index = [other for other in BLOCKS if other.section == block.section].index(block)
    return known[index] if index < len(known) else None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.label)
def test_an_example_in_a_docstring_sends_what_is_said_of_it(stage, block, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    said = said_of(block)
    assert said is not None, f"{block.label} in {block.file}: say in EXAMPLES how it runs and what it sends"
    if isinstance(said, NotRun):
        pytest.skip(said.reason)
    if block.section == "journy_track.integrations.arq":
        pytest.importorskip("arq")
    source = "\n".join([textwrap.dedent(said.before), block.source, textwrap.dedent(said.after)])
    made = stage(Block(block.section, block.line, block.language, source, file=block.file))
    journy_track.configure()
    with nullcontext() if said.user is None else journy_track.user(said.user):
        made.run()
    assert journy_track.flush(timeout=30)
    assert sorted(map(told, made.api.requests)) == sorted(said.requests)


def test_every_example_that_is_told_of_is_there():
    found = Counter(block.section for block in BLOCKS)
    assert found == {name: len(examples) for name, examples in EXAMPLES.items()}


def test_an_example_is_set_off_from_the_text():
    assert not code_in_prose()
