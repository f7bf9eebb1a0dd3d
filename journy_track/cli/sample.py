"""The small sample product that `journy-track demo` runs, instrumented like an app."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from opentelemetry import trace

import journy_track
from journy_track import Doc, TypedEvent, track_event

ACCOUNTS = (
    ("acme", "ACME, Inc", "acme-inc.com", "Pro", Decimal(399)),
    ("globex", "Globex", "globex.example", "Free", Decimal(0)),
    ("initech", "Initech", "initech.example", "Business", Decimal("1249.50")),
)
#: The amounts of the invoices, in turn, so that each run tracks the same.
AMOUNTS = (Decimal(99), Decimal("249.5"), Decimal(1500), Decimal(99))
PEOPLE = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth")


@dataclass(frozen=True)
class Person:
    """A user of the product."""

    id: int
    name: str
    email: str
    account: str


# ── What is tracked ──────────────────────────────────────────────────────────────────────────────────────


@journy_track.event
class TrialStarted(TypedEvent):
    """An account started a trial."""


@journy_track.event
class SignedUp(TypedEvent):
    """A user signed up."""

    source: Literal["website", "invitation"]


@journy_track.event
class SignedIn(TypedEvent):
    """A user signed in."""


@journy_track.event
class CreatedInvoice(TypedEvent):
    """An invoice was created. The product uses the event as its own value, too."""

    number: int
    amount: Annotated[Decimal, Doc("What it costs", unit="EUR")]


@journy_track.event
class ExportedInvoices(TypedEvent):
    """A user exported invoices as a file."""

    invoices: int


@journy_track.event
class PaymentFailed(TypedEvent):
    """A card was declined."""

    reason: str


@journy_track.event
class DunningStarted(TypedEvent):
    """A user was asked to pay."""

    invoice: int


# ── The product's own code ───────────────────────────────────────────────────────────────────────────────


def sign_up(number: int, name: str, account: str) -> Person:
    """Name the user with `user=`, because it is not in the context before it exists."""
    first, _, last = name.partition(" ")
    person = Person(number, name, f"{first}.{last}@{account}.example".lower(), account)
    journy_track.upsert_user(
        user=person.id,
        full_name=name,
        first_name=first,
        last_name=last,
        registered_at=datetime.now(UTC),
        is_admin=number % 3 == 1,
    )
    SignedUp(source="website").track(user=person.id)
    return person


def sign_in() -> None:
    """Track an event for the user and account in the context."""
    SignedIn().track()


@track_event(CreatedInvoice, duration=True)
async def create_invoice(number: int, amount: Decimal) -> CreatedInvoice:
    """Return the event, which is sent when the coroutine ends."""
    await asyncio.sleep(0)
    return CreatedInvoice(number, amount)


def export(invoices: list[CreatedInvoice]) -> Iterator[str]:
    """Stream rows, and track one event when the stream is exhausted."""
    for invoice in invoices:
        yield f"{invoice.number},{invoice.amount}"
    ExportedInvoices(len(invoices)).track()


def pay(invoice: CreatedInvoice) -> None:
    """Track an event only if the payment fails."""
    if invoice.amount > 1000:
        PaymentFailed("card declined").track()
        raise ValueError("card declined")


# ── A day in its life ────────────────────────────────────────────────────────────────────────────────────


def run(requests: int = 24) -> None:
    """Let accounts and users sign up, sign in, work and leave. Calls are queued and delivered in the background."""
    for account, name, domain, plan, mrr in ACCOUNTS:
        with journy_track.account(account, domain=domain):
            journy_track.upsert_account(name=name, plan=plan, mrr=mrr, registered_at=datetime.now(UTC))
            TrialStarted().track(user=None, happened_at=datetime.now(UTC) - timedelta(days=14))
    people: list[Person] = []
    for number, name in enumerate(PEOPLE, start=1):
        account = ACCOUNTS[number % len(ACCOUNTS)][0]
        with request("sign-up"), journy_track.account(account):
            people.append(sign_up(number, name, account))
    for account, *_ in ACCOUNTS:
        journy_track.add_users_to_account(account, [p.id for p in people if p.account == account])
    asyncio.run(_serve(people, requests))
    journy_track.upsert_user(user=people[0].id, phone="+32 2 123 45 67", nickname=None)
    journy_track.link("device-of-ada", user=people[0].id)
    journy_track.remove_users_from_account(people[-1].account, [people[-1].id])
    journy_track.flush(30)  # a delete also drops the user's queued items, and the demo must be complete
    journy_track.delete_user(people[-1].id)


async def _serve(people: list[Person], requests: int) -> None:
    async def one(number: int) -> None:
        person = people[number % len(people)]
        with request(f"request {number}"), journy_track.metadata(channel="web", request=number):
            journy_track.set_user(person.id, email=person.email)
            journy_track.set_account(person.account)
            sign_in()
            invoice = await create_invoice(number, AMOUNTS[number % len(AMOUNTS)])
            list(export([invoice]))
            try:
                pay(invoice)
            except ValueError:
                DunningStarted(invoice.number).track()

    await asyncio.gather(*(one(number) for number in range(requests)))


@contextmanager
def request(name: str) -> Iterator[None]:
    """Open a scope for the request inside a span, as a middleware does."""
    with trace.use_span(_span(name), end_on_exit=True), journy_track.scope():
        yield


def _span(name: str) -> trace.Span:
    """A span of the app's tracer; without an OpenTelemetry SDK, a span that has only IDs."""
    span = trace.get_tracer("sample").start_span(name)
    if span.get_span_context().is_valid:
        return span
    identity = trace.SpanContext(random.getrandbits(128), random.getrandbits(64), is_remote=False)
    return trace.NonRecordingSpan(identity)
