"""The types of the public interface: checked by mypy and pyright, never run.

Each line with two ignores is a mistake that both checkers must find: an unused ignore is also an error.
"""

# pyright: strict

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict, assert_type

import journy_track
import journy_track.broker
from journy_track import (
    AccountIdentified,
    APIError,
    ApiKeyDetails,
    APIResult,
    AsyncClient,
    Call,
    Client,
    Context,
    Event,
    Failure,
    NamedDefinition,
    PropertyDefinition,
    Stats,
    Success,
    Tracker,
    TrackingSnippet,
    UserIdentified,
    in_context,
    track_event,
)
from journy_track.testing import CapturedItems

# ── Decorated functions keep their exact type ────────────────────────────────────────────────────────────


@track_event
def bare(plan: str, seats: int = 1) -> bytes:
    return plan.encode() * seats


@track_event()
def named_after_itself(plan: str) -> bytes:
    return plan.encode()


@track_event(
    "changed_plan",
    metadata=lambda call: {"seconds": call.duration, "plan": call.arguments["plan"]},
    capture=("plan",),
    user=lambda call: call.result.id,
    account="acme",
    on="always",
    duration=True,
    when=lambda call: call.exception is None,
)
def with_options(plan: str, *, trial: bool = False) -> bytes:
    return plan.encode()


@journy_track.user("u1", email="jane@acme.com")
@journy_track.account(AccountIdentified.by_domain("acme.com"))
@journy_track.metadata(plan="pro")
@journy_track.scope(inherit=True)
@journy_track.suppressed()
def in_blocks(plan: str) -> bytes:
    return plan.encode()


assert_type(bare("pro"), bytes)
assert_type(bare("pro", seats=3), bytes)
assert_type(named_after_itself("pro"), bytes)
assert_type(with_options("pro", trial=True), bytes)
assert_type(in_blocks("pro"), bytes)
assert_type(in_context(bare)("pro", seats=3), bytes)

bare(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
bare()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
named_after_itself(plan=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
with_options("pro", True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
with_options("pro", trail=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
in_blocks(b"pro")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
in_context(bare)(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@track_event
async def coroutine(plan: str) -> bytes:
    return plan.encode()


@track_event("changed_plan", duration=True)
@journy_track.user("u1")
async def coroutine_with_options(plan: str) -> bytes:
    return plan.encode()


@track_event
def generator(plan: str) -> Generator[int, str, bytes]:
    sent = yield 1
    return sent.encode()


@journy_track.scope()
@track_event("listed", on="always")
def iterator(plan: str) -> Iterator[int]:
    yield 1


@track_event
async def async_generator(plan: str) -> AsyncGenerator[int, str]:
    yield 1


@journy_track.user("u1")
@track_event("listed")
async def async_iterator(plan: str) -> AsyncIterator[int]:
    yield 1


awaitable: Coroutine[Any, Any, bytes] = coroutine("pro")
awaitable = coroutine_with_options("pro")
awaitable = in_context(coroutine)("pro")
assert_type(generator("pro"), Generator[int, str, bytes])
assert_type(iterator("pro"), Iterator[int])
assert_type(async_generator("pro"), AsyncGenerator[int, str])
assert_type(async_iterator("pro"), AsyncIterator[int])
assert_type(in_context(generator)("pro"), Generator[int, str, bytes])
assert_type(in_context(async_generator)("pro"), AsyncGenerator[int, str])

coroutine(3)  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
generator(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async_iterator(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaiting() -> None:
    assert_type(await coroutine("pro"), bytes)
    assert_type(await coroutine_with_options("pro"), bytes)
    assert_type(await in_context(coroutine)("pro"), bytes)
    async for number in async_generator("pro"):
        assert_type(number, int)
    assert_type(await journy_track.aflush(timeout=1), bool)


class Service:
    @track_event
    def method(self, plan: str) -> bytes:
        return plan.encode()

    @track_event("changed_plan", capture=["plan"])
    async def async_method(self, plan: str) -> bytes:
        return plan.encode()

    @journy_track.user("u1")
    def in_block(self, plan: str) -> bytes:
        return plan.encode()

    @track_event("below")
    @classmethod
    def class_below(cls, plan: str) -> bytes:
        return plan.encode()

    @classmethod
    @track_event("above")
    def class_above(cls, plan: str) -> bytes:
        return plan.encode()

    @journy_track.scope()
    @staticmethod
    def static_below(plan: str) -> bytes:
        return plan.encode()

    @staticmethod
    @track_event
    def static_above(plan: str) -> bytes:
        return plan.encode()


assert_type(Service().method("pro"), bytes)
assert_type(Service.method(Service(), "pro"), bytes)
assert_type(Service().in_block("pro"), bytes)
assert_type(Service.class_below("pro"), bytes)
assert_type(Service().class_below("pro"), bytes)
assert_type(Service.class_above("pro"), bytes)
assert_type(Service.static_below("pro"), bytes)
assert_type(Service().static_above("pro"), bytes)

Service().method(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Service.class_below(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Service.class_above(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Service.static_below(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaiting_a_method() -> None:
    assert_type(await Service().async_method("pro"), bytes)


tracked_partial = track_event("changed_plan")(functools.partial(bare, "pro"))
assert_type(tracked_partial(), bytes)

by_tracker: Callable[[str], bytes] = Tracker("key").track_event("changed_plan")(named_after_itself)

with ThreadPoolExecutor() as pool:
    assert_type(pool.submit(in_context(bare), "pro").result(), bytes)
    pool.submit(in_context(bare), 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# ── Typed events ─────────────────────────────────────────────────────────────────────────────────────────


@journy_track.event("signed_up", renamed_from="registered")
class SignedUp(journy_track.TypedEvent):
    plan: Literal["free", "pro"]
    seats: Annotated[int, journy_track.Doc("Who may sign in", unit="people", examples=(3,))] = 1


@journy_track.event
@dataclass(frozen=True)
class ChangedPlan:
    plan: str


@journy_track.event("moved")
class Moved(TypedDict):
    where: str


class Invoice:
    """Like a pydantic model."""

    def __init__(self, *, amount: float) -> None:
        self.amount = amount

    def model_dump(self, *, by_alias: bool = False) -> dict[str, Any]:
        return {"amount": self.amount}


CreatedInvoice = journy_track.event("created_invoice")(Invoice)


@track_event(SignedUp, user=lambda call: call.result.plan)
def sign_up(plan: Literal["free", "pro"]) -> SignedUp:
    return SignedUp(plan=plan)


def typed_events() -> None:
    assert_type(SignedUp(plan="pro").seats, int)
    assert_type(ChangedPlan("pro"), ChangedPlan)
    assert_type(sign_up("pro"), SignedUp)
    SignedUp("free", 3).track(user="u1", account=None, after_commit=True)
    journy_track.track(SignedUp(plan="pro"), user="u1")
    journy_track.track(ChangedPlan(plan="pro"))
    journy_track.track(Moved, Moved(where="there"))
    journy_track.track(CreatedInvoice(amount=1))
    SignedUp(plan="por")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SignedUp(plan="pro", seat=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    SignedUp()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ChangedPlan(plan=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Moved(wher="there")  # type: ignore[typeddict-unknown-key, typeddict-item]  # pyright: ignore
    SignedUp(plan="pro").plan = "free"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    SignedUp(plan="pro").track(usr="u1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    journy_track.track(SignedUp(plan="pro"), seats=3)  # type: ignore[call-overload]  # pyright: ignore
    journy_track.track(3)  # type: ignore[call-overload]  # pyright: ignore
    track_event(SignedUp, capture=("plan",))  # type: ignore[call-overload]  # pyright: ignore
    journy_track.event("a", renamed="b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    with journy_track.testing.capture() as events:
        assert_type(events.named(SignedUp), list[Event])
        events.assert_tracked(SignedUp, user="u1")
        events.assert_tracked(SignedUp(plan="pro"), times=1)


# ── Wrong options ────────────────────────────────────────────────────────────────────────────────────────

track_event("worked", on="failure")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
track_event("worked", capture="plan")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
track_event("worked", unknown=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
track_event("worked", duration="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
track_event(3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
headers: dict[str, str] = {}
journy_track.inject(headers)
journy_track.inject(headers, email=True)
journy_track.inject(headers, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
with journy_track.extract(headers) as carried:
    assert_type(carried, Context)
assert_type(journy_track.extract(headers)(bare)("pro", seats=3), bytes)
in_context("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
journy_track.user(email=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
journy_track.scope(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def of_the_call(call: Call) -> dict[str, object]:
    assert_type(call.duration, float)
    assert_type(call.exception, BaseException | None)
    return dict(call.arguments)


track_event("worked", metadata=of_the_call, user=None, account=lambda call: None)

# ── The context ──────────────────────────────────────────────────────────────────────────────────────────

with journy_track.user("u1") as context, journy_track.scope() as inner:
    assert_type(context, Context)
    assert_type(inner, Context)
    assert_type(context.user, UserIdentified | None)
    assert_type(context.account, AccountIdentified | None)
    context.user = None  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

assert_type(journy_track.current_context(), Context)
assert_type(journy_track.flush(), bool)
assert_type(journy_track.get_tracker(), Tracker | None)


def a_block_swallows_nothing() -> int:
    with journy_track.user("u1"):
        return 1


# ── Results ──────────────────────────────────────────────────────────────────────────────────────────────


def narrowed_by_success(result: APIResult[ApiKeyDetails]) -> tuple[str, ...]:
    # By design, pyright narrows by `is True` but not by truth; mypy narrows by both (see the next function).
    if result.success is True:
        assert_type(result, Success[ApiKeyDetails])
        assert_type(result.data, ApiKeyDetails)
        return result.data.permissions
    assert_type(result, Failure)
    assert_type(result.error, APIError)
    print(result.data)  # type: ignore[attr-defined]  # pyright: ignore
    return (result.message,)


def narrowed_by_truth(result: APIResult[ApiKeyDetails]) -> str | None:
    if result.success:
        return result.data.permissions[0]  # pyright: ignore
    return result.message  # pyright: ignore


def narrowed_by_class(result: APIResult[ApiKeyDetails]) -> tuple[str, ...]:
    if isinstance(result, Failure):
        return (result.message,)
    assert_type(result, Success[ApiKeyDetails])
    return result.data.permissions


def narrowed_by_match(result: APIResult[TrackingSnippet]) -> str:
    match result:
        case Success(data=data):
            assert_type(data, TrackingSnippet)
            return data.snippet
        case Failure(error=error):
            assert_type(error, APIError)
            return error


def not_narrowed(client: Client) -> str | None:
    result = client.get_tracking_snippet(domain="acme.com")
    assert_type(result, Success[TrackingSnippet] | Failure)
    print(result.data)  # type: ignore[union-attr]  # pyright: ignore
    assert_type(result.request_id, str | None)
    return result.request_id


async def awaited(client: AsyncClient) -> str | None:
    async with client as entered:
        assert_type(entered, AsyncClient)
        assert_type(await client.upsert_user(user_id="u1", properties={"plan": None}), Success[None] | Failure)
        assert_type(await client.get_events(), Success[tuple[NamedDefinition, ...]] | Failure)
        assert_type(await client.get_user_properties(), Success[tuple[PropertyDefinition, ...]] | Failure)
    await client.upsert_user("u1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    print(client.get_events().data)  # type: ignore[attr-defined]  # pyright: ignore
    result = await client.get_tracking_snippet(domain="acme.com")
    assert_type(result.calls_limit, int | None)
    if result.success is True:
        assert_type(result.data, TrackingSnippet)
    return result.request_id


assert_type(AsyncClient.with_defaults("key"), AsyncClient)


# ── The app's own broker ─────


class Shelf:
    """An example of a third-party queue."""

    def publish(self, messages: Sequence[journy_track.broker.Message], /) -> int:
        assert_type(messages[0].text, str)
        return len(messages)

    def is_empty(self) -> bool:
        return True

    def close(self) -> None: ...


journy_track.configure(broker=Shelf())
journy_track.configure(broker="redis://127.0.0.1/0")
journy_track.configure(broker=object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ── Short-lived processes, transactions, tests ───────────────────────────────────────────────────────────


@journy_track.flushed(timeout=5)
def handler(event: dict[str, str], context: object) -> int:
    return len(event)


@journy_track.flushed()
async def async_handler(event: dict[str, str]) -> int:
    return len(event)


@track_event("paid", after_commit=True)
def pay(amount: int) -> bool:
    return amount > 0


async def flushing() -> None:
    assert_type(handler({}, None), int)
    assert_type(await async_handler({}), int)
    assert_type(pay(1), bool)
    handler("wrong", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with journy_track.flushed(1.5):
        journy_track.track("paid", user="u1", after_commit=True)
    async with journy_track.flushed():
        journy_track.delete_user("u1", after_commit=True)
    journy_track.add_users_to_account("acme", ["u1"], after_commit=True)


def in_tests() -> None:
    with journy_track.testing.capture() as events:
        assert_type(events, CapturedItems)
        assert_type(events.named("signed_in"), list[Event])
        assert_type(events.assert_tracked("signed_in", user="u1", account=None, times=1), Event | None)


def misspelt() -> None:
    print(journy_track.upsert_usr)  # type: ignore[attr-defined]  # pyright: ignore


# ── Numbers, and what the integrations return ────────────────────────────────────────────────────────────


def numbers(tracker: Tracker) -> None:
    assert_type(tracker.stats(), Stats)
    assert_type(journy_track.stats().dropped, Mapping[str, int])
    assert_type(journy_track.health().since_success, float | None)
    assert_type([receipt.attempts for receipt in journy_track.recent()], list[int])
    assert_type(journy_track.current_context().metadata, Mapping[str, Any])
    assert_type(tracker.config.timeout, float)
    journy_track.stats().dropped["too_large"] = 0  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    tracker.shutdown("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    journy_track.configure(timeout="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    journy_track.configure(time_out=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def every_call_has_its_result(client: Client) -> None:
    assert_type(client.upsert_user(user_id="u1"), Success[None] | Failure)
    assert_type(client.add_event(Event.for_user("signed_in", UserIdentified("u1"))), Success[None] | Failure)
    assert_type(client.get_events(), Success[tuple[NamedDefinition, ...]] | Failure)
    assert_type(client.get_user_properties(), Success[tuple[PropertyDefinition, ...]] | Failure)
    client.upsert_user("u1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def earlier_names(client: Client, result: journy_track.Result[ApiKeyDetails]) -> journy_track.Result[None]:
    assert_type(result, Success[ApiKeyDetails] | Failure)
    assert_type(journy_track.current(), Context)
    group: journy_track.Group = journy_track.DefinitionGroup("1", "Onboarding")
    event: journy_track.Named = NamedDefinition("signed_in", "Signed in", group)
    assert_type(event, NamedDefinition)
    return client.delete_user(user_id=event.id)


def many_at_once() -> None:
    with journy_track.bulk(patience=60) as job:
        journy_track.track("counted", user="u1")
    assert_type(job.report, journy_track.Report)
    assert_type(job.report.given_up, Mapping[str, int])
    assert_type(job.report.stopped, str | None)
    rows = [("acme", {"plan": "pro", "seats": 10})]
    assert_type(journy_track.sync_accounts(rows, state="journy.state"), journy_track.Report)
    journy_track.sync_users(({"user_id": number, "plan": "pro"} for number in range(3)), dry_run=True)
    journy_track.sync_accounts(["acme"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    journy_track.sync_accounts(rows, stat="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def seen_elsewhere() -> None:
    """Check metrics, spans, log lines and templates."""
    import logging

    from jinja2 import Environment
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from journy_track.integrations.jinja2 import instrument_jinja2
    from journy_track.integrations.logging import JournyFilter
    from journy_track.integrations.opentelemetry import JournySpanProcessor
    from journy_track.integrations.structlog import add_identity

    journy_track.instrument_metrics()
    journy_track.instrument_metrics(MeterProvider())
    TracerProvider().add_span_processor(JournySpanProcessor())
    logging.StreamHandler().addFilter(JournyFilter())
    assert_type(add_identity(None, "info", {"event": "x"})["event"], Any)
    assert_type(instrument_jinja2(Environment(), domain="shop.example"), Environment)
    assert_type(journy_track.stats().given_up_for["max_age"], int)
