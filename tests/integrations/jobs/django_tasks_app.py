"""Django Tasks, from Django 6 or the package, with the database backend."""

import bodies
import django
from django.apps import apps

if not apps.ready:
    django.setup()

try:
    from django.tasks import task
except ImportError:
    from django_tasks import task

from journy_track.integrations.django_tasks import instrument_django_tasks

instrument_django_tasks()


@task
def work(number: int) -> None:
    bodies.work(number)


@task
def parent(number: int) -> None:
    with bodies.whom_it_finds(number):
        send("work", number)


@task
def leaves_a_user(number: int) -> None:
    bodies.leaves_a_user(number)


@task
def nobody(number: int) -> None:
    bodies.nobody(number)


def send(name: str, number: int) -> None:
    globals()[name].enqueue(number)
