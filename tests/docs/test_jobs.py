"""The page about jobs: its links and table, and each of its blocks with a real broker and a real worker."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable

import pytest
from redis_server import redis_server

import journy_track

from .reading import anchor, blocks, code_spans, page, section, sections
from .scenes import REDIS, Stage
from .telling import told

TEXT = page("guides/jobs")
ALL = blocks(TEXT)
ROWS = section(TEXT, "Job systems").rows[:9]
#: The package, the worker's command, and how a job is enqueued.
SYSTEMS = {
    "celery": ("celery", ("celery", "-A", "tasks", "worker", "-P", "solo"), "tasks.export_report.delay('2026-10')"),
    "rq": ("rq", ("rq.cli", "worker", "--url", REDIS), "tasks.queue.enqueue(tasks.export_report, '2026-10')"),
    "dramatiq": ("dramatiq", ("dramatiq", "tasks", "-p", "1", "-t", "1"), "tasks.export_report.send('2026-10')"),
    "huey": ("huey", ("huey.bin.huey_consumer", "tasks.huey"), "tasks.export_report('2026-10')"),
    "arq": ("arq", ("arq", "tasks.WorkerSettings"), "asyncio.run(through_arq())"),
    "taskiq": ("taskiq_redis", ("taskiq", "worker", "tasks:broker"), "asyncio.run(through_taskiq())"),
    "django_tasks": ("django_tasks_db", ("django", "db_worker"), "export_report.enqueue('2026-10')"),
    "apscheduler": ("apscheduler", (), "tasks.scheduler.add_job(tasks.export_report, args=['2026-10'])"),
}
BEFORE = {
    "django_tasks": "import django; django.setup(); from shop.tasks import export_report",
    "apscheduler": (
        "import tasks, threading; ran = threading.Event()\n"
        "tasks.scheduler.add_listener(lambda event: ran.set(), 4096)  # EVENT_JOB_EXECUTED\n"
        "tasks.scheduler.start()"
    ),
}
AFTER = {"apscheduler": "assert ran.wait(30); tasks.scheduler.shutdown()"}
SHOP = """
import asyncio
import journy_track
{before}

async def through_arq():
    from arq import create_pool
    pool = await create_pool(tasks.WorkerSettings.redis_settings)
    await pool.enqueue_job("export_report", "2026-10")
    await pool.aclose()

async def through_taskiq():
    await tasks.broker.startup()
    await tasks.export_report.kiq("2026-10")
    await tasks.broker.shutdown()

with journy_track.user("u1"), journy_track.account("acme"):
    {enqueue}
{after}
"""
SITE = """
SECRET_KEY = "for this test"
USE_TZ = True
INSTALLED_APPS = ["shop.apps.Shop", "django_tasks", "django_tasks_db"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("block", [one for one in ALL if one.scene], ids=lambda block: block.section)
def test_a_job_of_the_page_belongs_to_whoever_enqueued_it(stage: Callable[..., Stage], block):
    package, worker, enqueue = SYSTEMS[block.scene]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {package}")
    made: Stage = stage(block)
    settings = {"DJANGO_SETTINGS_MODULE": "site_settings"} if block.scene == "django_tasks" else {}
    with redis_server() as url:
        made.places[REDIS] = url
        before, after = BEFORE.get(block.scene, "import tasks"), AFTER.get(block.scene, "")
        shop = SHOP.format(before=before, enqueue=enqueue, after=after)
        made.write({"shop/__init__.py": "", "site_settings.py": SITE, "send.py": shop, **made.files()})
        if settings:
            made.python("-m", "django", "migrate", "-v0", **settings)
        if worker:
            with made.beside("-m", *(url if word == REDIS else word for word in worker), **settings):
                made.python("send.py", **settings)
                made.wait_for(len(block.requests))
        else:
            made.python("send.py")
    assert sorted(map(told, made.api.requests)) == sorted(block.requests)


@pytest.mark.parametrize("block", [one for one in ALL if one.scene == ""], ids=lambda block: block.section)
def test_a_block_that_needs_no_worker_sends_what_it_says(stage: Callable[..., Stage], block):
    made: Stage = stage(block)
    journy_track.configure()
    made.run()
    assert journy_track.flush(timeout=30)
    assert sorted(map(told, made.api.requests)) == sorted(block.requests)


def test_each_block_runs():
    assert {one.scene for one in ALL} == {*SYSTEMS, ""}


def test_the_table_leads_to_a_section_and_names_what_there_is():
    titles = {anchor(part.title) for part in sections(TEXT)}
    assert len(ROWS) == len(SYSTEMS) + 1
    for system, call, _ in ROWS:
        (target,) = re.findall(r"\]\(#([\w-]+)\)", system)
        assert target in titles
        for name in (span.partition("(")[0] for span in code_spans(call)):
            module, _, function = name.rpartition(".")
            if module == "journy_track":
                assert callable(getattr(journy_track, function))
            elif importlib.util.find_spec(module) is not None or module == "django_tasks":
                integration = importlib.import_module(f"journy_track.integrations.{module}")
                assert callable(getattr(integration, function))
