"""Typed events: `@event` on a class, and all the ways to track its instances."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import pickle
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, NotRequired, TypedDict
from uuid import UUID

import pydantic
import pytest

import journy_track
from journy_track import Doc, InvalidArgument, TypedEvent, event, track_event
from journy_track._capture.typed import snake_case

if TYPE_CHECKING:
    from only_for_type_checkers import Unknown

Seats = NewType("Seats", int)


class Channel(StrEnum):
    WEB = "web"
    MAIL = "mail"


class Size(Enum):
    SMALL = 1


@event("signed_up", renamed_from="registered")
class SignedUp(TypedEvent):
    """Somebody made an account."""

    plan: Literal["free", "pro"]
    seats: Annotated[int, Doc("Who may sign in", unit="people", examples=(3,))] = 1
    channel: Channel | None = None


@event
@dataclass(frozen=True)
class ChangedPlan:
    plan: str
    amount: Decimal = Decimal(0)


@event("created_invoice")
class CreatedInvoice(pydantic.BaseModel):
    amount: float
    note: str | None = None


class _Moved(TypedDict):
    where: str


@event("moved")
class Moved(_Moved):
    steps: NotRequired[int]


@pytest.fixture(autouse=True)
def signed_in():
    with journy_track.user("u1"):
        yield


def tracked(journy_events):
    return [(one.name, dict(one.metadata)) for one in journy_events]


# ── Ways to track a typed event ──


def test_an_event_tracks_itself_with_the_options_of_track(journy_events):
    at = datetime(2026, 5, 17, tzinfo=UTC)
    SignedUp(plan="pro", channel=Channel.WEB).track(user="u2", account="acme", happened_at=at)
    (one,) = journy_events
    assert (one.name, dict(one.metadata)) == ("signed_up", {"plan": "pro", "seats": 1, "channel": "web"})
    assert (one.user.user_id, one.account.account_id, one.triggered_at) == ("u2", "acme", at)


def test_track_takes_one_of_every_kind(journy_events):
    journy_track.track(SignedUp(plan="free"))
    journy_track.track(ChangedPlan("pro", Decimal(9)), account="acme")
    journy_track.track(CreatedInvoice(amount=3.5))
    journy_track.track(Moved, Moved(where="there"))
    assert tracked(journy_events) == [
        ("signed_up", {"plan": "free", "seats": 1}),
        ("changed_plan", {"plan": "pro", "amount": 9}),
        ("created_invoice", {"amount": 3.5}),
        ("moved", {"where": "there"}),
    ]


def test_dataclasses_and_models_without_the_base_class_track_themselves_too(journy_events):
    ChangedPlan("pro").track()
    CreatedInvoice(amount=1).track(account="acme")
    assert [name for name, _ in tracked(journy_events)] == ["changed_plan", "created_invoice"]


def test_a_tracker_takes_one(journy_events):
    journy_track.get_tracker().track(SignedUp(plan="free"))
    journy_events.assert_tracked(SignedUp, times=1)


def test_what_a_function_returns_is_the_event_and_none_is_no_event(journy_events):
    @track_event(ChangedPlan, user=lambda call: call.result.plan, duration=True)
    def change(plan):
        return ChangedPlan(plan) if plan else None

    assert change("pro") == ChangedPlan("pro")
    assert change("") is None
    (one,) = journy_events
    assert (one.user.user_id, one.metadata["plan"], "duration_ms" in one.metadata) == ("pro", "pro", True)


def test_what_a_coroutine_returns_is_the_event(journy_events):
    @track_event(Moved)
    async def move():
        return {"where": "there"}

    assert asyncio.run(move()) == {"where": "there"}
    journy_events.assert_tracked(Moved, metadata={"where": "there"}, times=1)


def test_each_event_that_a_generator_yields_is_tracked_as_it_passes(journy_events):
    @track_event(ChangedPlan)
    def change() -> Iterator[Any]:
        got = yield ChangedPlan("a")
        yield got
        yield ChangedPlan("b")
        return "done"

    steps = change()
    assert inspect.isgeneratorfunction(change)
    assert next(steps) == ChangedPlan("a")
    assert len(journy_events) == 1
    assert steps.send("something else") == "something else"
    assert next(steps) == ChangedPlan("b")
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "done"
    assert [one.metadata["plan"] for one in journy_events.named(ChangedPlan)] == ["a", "b"]


def test_a_generator_is_thrown_into_and_closed_as_without_it(journy_events):
    seen = []

    @track_event(ChangedPlan)
    def change() -> Iterator[ChangedPlan]:
        try:
            yield ChangedPlan("a")
        except KeyError:
            yield ChangedPlan("after")
        finally:
            seen.append("closed")

    steps = change()
    next(steps)
    assert steps.throw(KeyError()) == ChangedPlan("after")
    steps.close()
    assert seen == ["closed"]
    assert len(journy_events.named(ChangedPlan)) == 2


def test_each_event_of_an_async_generator_is_tracked(journy_events):
    @track_event(ChangedPlan)
    async def change() -> AsyncIterator[ChangedPlan]:
        for plan in ("a", "b"):
            await asyncio.sleep(0)
            yield ChangedPlan(plan)

    async def main():
        return [one.plan async for one in change()]

    assert inspect.isasyncgenfunction(change)
    assert asyncio.run(main()) == ["a", "b"]
    assert [one.metadata["plan"] for one in journy_events] == ["a", "b"]


def test_when_and_after_commit_hold_for_typed_events(journy_events):
    @track_event(ChangedPlan, when=lambda call: call.result.amount > 0, after_commit=True)
    def change(amount):
        return ChangedPlan("pro", amount)

    change(Decimal(0))
    change(Decimal(3))
    journy_events.assert_tracked(ChangedPlan, metadata={"amount": 3}, times=1)


def test_something_else_that_a_function_returns_is_counted_and_reaches_the_caller():
    @track_event(ChangedPlan)
    def change():
        return "pro"

    with pytest.raises(AssertionError, match="invalid"), journy_track.testing.capture():
        assert change() == "pro"


@pytest.mark.parametrize("option", [{"metadata": {}}, {"capture": ("a",)}, {"on": "error"}, {"unknown": 1}])
def test_options_that_make_no_sense_with_a_class_are_refused_where_the_function_is_decorated(option):
    with pytest.raises(InvalidArgument, match=f"no option '{next(iter(option))}' with the class ChangedPlan"):
        track_event(ChangedPlan, **option)


# ── The class ──


def test_a_bare_class_becomes_a_frozen_dataclass_and_others_stay_what_they_are():
    assert SignedUp(plan="pro") == SignedUp("pro", 1, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        SignedUp(plan="pro").plan = "free"
    assert str(inspect.signature(ChangedPlan)) == "(plan: 'str', amount: 'Decimal' = Decimal('0')) -> None"
    assert pickle.loads(pickle.dumps(ChangedPlan("pro"))) == ChangedPlan("pro")
    assert dataclasses.replace(SignedUp(plan="pro"), seats=2).seats == 2
    assert Moved(where="there") == {"where": "there"}


@pytest.mark.parametrize(
    ("name", "snake"),
    [("SignedUp", "signed_up"), ("HTTPErrorSeen", "http_error_seen"), ("Paid", "paid"), ("_Won2Games", "won2_games")],
)
def test_the_name_of_a_bare_class_is_in_snake_case(name, snake):
    assert snake_case(name) == snake


def test_a_subclass_is_the_same_event_with_more_fields(journy_events):
    @dataclass(frozen=True)
    class InvitedSignUp(SignedUp):
        invited_by: str = ""

    InvitedSignUp(plan="pro", invited_by="u3").track()
    journy_events.assert_tracked(SignedUp, metadata={"plan": "pro", "invited_by": "u3"})


def test_a_field_may_be_named_like_the_method(journy_events):
    @event("raced")
    class Raced:
        track: str = "short"

    journy_track.track(Raced())
    journy_events.assert_tracked("raced", metadata={"track": "short"})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: event(""), "@event|name is required"),
        (lambda: event("a")(lambda: None), "decorates classes"),
        (lambda: event("a", renamed_from=("",))(type("A", (), {})), "renamed_from is required"),
        (lambda: event("a")(type("A", (tuple,), {})), "it takes dataclasses"),
        (lambda: event("a")(type("A", (), {"__init__": lambda self: None})), "it takes dataclasses"),
    ],
)
def test_what_declares_no_event_is_refused_at_import(make, match):
    with pytest.raises(InvalidArgument, match=match):
        made = make()
        made(type("A", (), {}))


def test_an_ordinary_class_and_its_instances_are_still_refused(journy_events):
    class Plain: ...

    with pytest.raises(InvalidArgument, match="name must be a str, got Plain"):
        journy_track.track(Plain())
    with pytest.raises(InvalidArgument, match=r"got the class .*Plain"):
        track_event(Plain)
    with pytest.raises(InvalidArgument, match="got the class SignedUp: pass an event"):
        journy_track.track(SignedUp)
    with pytest.raises(InvalidArgument, match="after the class Moved, pass the event"):
        journy_track.track(Moved)


# ── Values ──


@event("everything")
class Everything:
    text: str = ""
    flag: bool = False
    number: int = 0
    amount: float = 0.0
    money: Decimal = Decimal(0)
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    id: UUID = UUID(int=1)
    size: Size = Size.SMALL
    channel: Channel = Channel.WEB
    seats: Seats = Seats(1)
    either: int | str | None = None
    level: Literal[1, 2] = 1
    unknown: Unknown = None


@pytest.mark.parametrize(
    "values",
    [
        {"amount": 3, "number": True, "level": 2, "either": "a"},
        {"text": Channel.WEB, "number": Size.SMALL, "channel": Channel.MAIL, "seats": 3},
        {"unknown": object},
    ],
)
def test_what_type_checkers_take_or_what_is_sent_as_such_fits(values):
    Everything(**values)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("text", 3, "str"),
        ("flag", "yes", "bool"),
        ("number", 1.5, "int"),
        ("number", None, "int"),
        ("amount", "3", "float"),
        ("money", 3.5, "Decimal"),
        ("at", "2026", "datetime"),
        ("id", "1", "UUID"),
        ("size", 2, "Size"),
        ("seats", "3", "Seats"),
        ("either", 1.5, "int or str or None"),
        ("level", 3, "one of 1, 2"),
        ("level", True, "one of 1, 2"),
    ],
)
def test_a_wrong_value_raises_in_tests_where_the_event_is_made(name, value, wanted):
    with pytest.raises(InvalidArgument, match=f"Everything.{name} must be {wanted}, got "):
        Everything(**{name: value})


def test_a_misspelt_field_raises_in_tests():
    with pytest.raises(TypeError, match="paln"):
        SignedUp(paln="pro")
    with pytest.raises(InvalidArgument, match="Moved has no field 'wher'"):
        journy_track.track(Moved, {"where": "there", "wher": "x"})
    with pytest.raises(InvalidArgument, match="Moved needs 'where'"):
        journy_track.track(Moved, {})


def test_in_production_a_wrong_value_is_left_out_with_a_warning_and_the_event_goes_out(api, caplog):
    journy_track.configure("a-key", base_url=api.url, strict=False)
    with caplog.at_level(logging.WARNING, "journy_track"):
        SignedUp(plan="por", seats=3).track()
        journy_track.track(Moved, {"wher": "there"})
        assert journy_track.flush(timeout=10)
    signed_up, moved = api.requests
    assert (signed_up.json["name"], signed_up.json["metadata"]) == ("signed_up", {"seats": 3})
    assert (moved.json["name"], moved.json.get("metadata", {})) == ("moved", {})
    assert "SignedUp.plan must be one of 'free', 'pro'" in caplog.text
    assert "Moved has no field 'wher'" in caplog.text
    assert "por" not in caplog.text


def test_in_production_a_model_that_cannot_be_read_is_dropped_and_counted(api):
    @event("broken")
    class Broken(pydantic.BaseModel):
        def model_dump(self, **options):
            raise RuntimeError("broken")

    journy_track.configure("a-key", base_url=api.url, strict=False)
    journy_track.track(Broken())
    assert journy_track.flush(timeout=10)
    assert journy_track.stats().dropped == {"invalid": 1}


def test_annotations_for_type_checkers_only_raise_neither_at_import_nor_later(tmp_path):
    (tmp_path / "app.py").write_text(
        textwrap.dedent("""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        import journy_track
        if TYPE_CHECKING:
            from nowhere import Plan

        @journy_track.event
        class SignedUp(journy_track.TypedEvent):
            plan: Plan
            later: Later | None = None

        class Later: ...

        @journy_track.track_event(SignedUp)
        def sign_up(plan: Plan) -> SignedUp:
            return SignedUp(plan=plan)

        with journy_track.testing.capture() as events, journy_track.user("u1"):
            sign_up("pro")
            print(events[0].metadata["plan"])
            try:
                SignedUp(plan="pro", later=3)
            except journy_track.InvalidArgument as error:
                print(error)
        """)
    )
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.splitlines() == ["pro", "SignedUp.later must be Later or None, got int 3"], ended.stderr


# ── In users' tests ──


def test_tests_name_the_class_or_a_whole_event(journy_events):
    SignedUp(plan="pro").track(account="acme")
    ChangedPlan("free").track()
    assert [one.name for one in journy_events.named(SignedUp)] == ["signed_up"]
    journy_events.assert_tracked(SignedUp, user="u1", account="acme", metadata={"plan": "pro"}, times=1)
    journy_events.assert_tracked(SignedUp(plan="pro"))
    with pytest.raises(AssertionError, match=r"metadata\['plan'\]: 'free'"):
        journy_events.assert_tracked(SignedUp(plan="free"))
    with pytest.raises(InvalidArgument, match="expected the name of an event"):
        journy_events.named(int)


# ── What it costs ──


def test_values_of_the_annotated_types_need_no_closer_look(journy_events, monkeypatch):
    SignedUp(plan="pro").track()

    def never(*arguments):
        raise AssertionError("a closer look")

    monkeypatch.setattr("journy_track._capture.typed.fits", never)
    monkeypatch.setattr("journy_track._capture.typed.annotations_of", never)
    SignedUp(plan="free", seats=2, channel=Channel.MAIL).track()
    assert len(journy_events) == 2
