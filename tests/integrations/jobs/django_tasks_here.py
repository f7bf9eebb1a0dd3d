"""Django Tasks that run in the process that enqueues them: `django_tasks_here.py django.tasks immediate`."""

import asyncio
import json
import sys
from importlib import import_module

import django
from django.conf import settings

import journy_track
from journy_track import InvalidArgument, testing, track_event
from journy_track.integrations.django_tasks import instrument_django_tasks

package, kind = sys.argv[1:]
backend = f"{package}.backends.{kind}.{kind.title()}Backend"
settings.configure(TASKS={"default": {"BACKEND": backend}}, USE_TZ=True)
django.setup()
task = import_module(package).task
instrument_django_tasks()
instrument_django_tasks()


@task
@track_event("worked", account="ours", metadata=lambda call: {"given": json.dumps(call.arguments)})
def work(*args, **kwargs): ...


@task
def leaves_a_user():
    journy_track.set_user("left behind")


@task
def parent():
    work.enqueue("nested")


@task
async def awaited(number):
    work.func(number)


def main():
    with journy_track.user("u1"), journy_track.metadata(n=1):
        work.enqueue(1, two=2)
        parent.enqueue()
        awaited.enqueue(3)
        leaves_a_user.enqueue()
        asyncio.run(work.aenqueue(4))
    with journy_track.user(email="jane@acme.com"):
        work.enqueue(5)
    work.enqueue(6)
    if kind == "dummy":
        for result in list(import_module(package).default_task_backend.results):  # as a worker would
            result.task.call(*result.args, **result.kwargs)
    assert journy_track.current_context() == journy_track.Context()


with testing.capture() as events:
    main()
for event in events:
    who = event.user and (event.user.user_id or event.user.email)
    print(event.metadata["given"], who, event.metadata.get("n"))
try:
    track_event("worked")(work)
except InvalidArgument as error:
    print(error)
