"""@track_event: every option with every kind of callable."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import journy_track
from journy_track import AccountIdentified, UserIdentified

#: An async generator has no result; the other kinds return the plan in uppercase.
RESULT = {"async_generator": None}

JANE, JOE = UserIdentified("jane"), UserIdentified("joe")
ACME, GLOBEX = AccountIdentified("acme"), AccountIdentified("globex")


@pytest.fixture(autouse=True)
def _as_jane_of_acme():
    with journy_track.user(JANE), journy_track.account(ACME):
        yield


def test_a_success_is_one_event_of_the_contexts_user_and_account(kind, kept):
    changed = kind(journy_track.track_event("changed_plan"))
    assert changed("pro") == "PRO"
    event = kept.one()
    assert (event.name, event.user, event.account, event.metadata) == ("changed_plan", JANE, ACME, {})


def test_a_failure_is_not_an_event_unless_asked_for(kind, kept):
    with pytest.raises(ValueError, match="pro"):
        kind(journy_track.track_event("changed_plan"))("pro", fail=True)
    assert kept() == []


@pytest.mark.parametrize(
    ("on", "fail", "expected"),
    [
        ("success", False, [{}]),
        ("success", True, []),
        ("error", False, []),
        ("error", True, [{"error_type": "ValueError"}]),
        ("always", False, [{}]),
        ("always", True, [{"error_type": "ValueError"}]),
    ],
)
def test_on_decides_which_endings_count(kind, on, fail, expected, kept):
    changed = kind(journy_track.track_event("changed_plan", on=on))
    if fail:
        with pytest.raises(ValueError, match="pro"):
            changed("pro", fail=True)
    else:
        assert changed("pro") == "PRO"
    assert [event.metadata for event in kept()] == expected


def test_metadata_as_a_mapping_is_on_the_event(kind, kept):
    kind(journy_track.track_event("changed_plan", metadata={"source": "api", "beta": True}))("pro")
    assert kept.one().metadata == {"source": "api", "beta": True}


def test_metadata_as_a_function_sees_the_finished_call(kind, kept):
    calls: list[journy_track.Call] = []
    kind(journy_track.track_event("changed_plan", metadata=lambda call: calls.append(call) or {"n": 1}))("pro")
    [call] = calls
    assert kept.one().metadata == {"n": 1}
    expected = {"plan": "pro", "seats": 3, "fail": False}
    assert call.arguments == expected if kind.__name__ != "partial" else {"prefix": "prefix", **expected}
    assert (call.result, call.exception) == (RESULT.get(kind.__name__, "PRO"), None)
    assert 0 <= call.duration < 60


def test_a_failed_call_shows_its_exception(kind, kept):
    calls: list[journy_track.Call] = []
    option = journy_track.track_event("changed_plan", on="error", metadata=calls.append)
    with pytest.raises(ValueError, match="pro") as raised:
        kind(option)("pro", fail=True)
    assert calls[0].exception is raised.value
    assert calls[0].result is None
    assert kept.one().metadata == {"error_type": "ValueError"}


def test_capture_records_the_named_arguments_with_defaults(kind, kept):
    kind(journy_track.track_event("changed_plan", capture=("plan", "seats")))(plan="pro")
    assert kept.one().metadata == {"plan": "pro", "seats": 3}


def test_user_and_account_as_ids(kind, kept):
    kind(journy_track.track_event("changed_plan", user="joe", account=GLOBEX))("pro")
    event = kept.one()
    assert (event.user, event.account) == (JOE, GLOBEX)


def test_nobody_as_user_is_an_event_of_the_account(kind, kept):
    kind(journy_track.track_event("changed_plan", user=None))("pro")
    event = kept.one()
    assert (event.user, event.account) == (None, ACME)


def test_user_and_account_as_functions_of_the_call(kind, kept):
    kind(
        journy_track.track_event(
            "changed_plan",
            user=lambda call: call.arguments["plan"],
            account=lambda call: AccountIdentified(f"{call.arguments['plan']}-{call.arguments['seats']}"),
        )
    )("pro")
    event = kept.one()
    assert (event.user, event.account) == (UserIdentified("pro"), AccountIdentified("pro-3"))


def test_duration_adds_milliseconds(kind, kept):
    kind(journy_track.track_event("changed_plan", duration=True))("pro")
    [(key, value)] = kept.one().metadata.items()
    assert key == "duration_ms"
    assert 0 <= value < 60_000


def test_when_decides_on_the_finished_call(kind, kept):
    changed = kind(journy_track.track_event("changed_plan", when=lambda call: call.arguments["plan"] == "pro"))
    assert (changed("free"), changed("pro")) == ("FREE", "PRO")
    assert len(kept()) == 1


def test_all_options_together(kind, kept):
    changed = kind(
        journy_track.track_event(
            "changed_plan",
            metadata=lambda call: {"failed": call.exception is not None},
            capture=["plan"],
            user="joe",
            account=lambda call: None,
            on="always",
            duration=True,
            when=lambda call: True,
        )
    )
    with pytest.raises(ValueError, match="pro"):
        changed("pro", fail=True)
    event = kept.one()
    assert (event.user, event.account) == (JOE, None)
    assert dict(event.metadata) | {"duration_ms": 0} == {
        "failed": True,
        "plan": "pro",
        "duration_ms": 0,
        "error_type": "ValueError",
    }


def test_the_name_of_a_bare_decorator_is_the_functions(kind, kept):
    if kind.__name__ in ("partial", "callable_object"):
        with pytest.raises(journy_track.InvalidArgument, match="has no name: pass one"):
            kind(journy_track.track_event)
        return
    assert kind(journy_track.track_event)("pro") == "PRO"
    assert kind(journy_track.track_event())("pro") == "PRO"
    assert kept.names() == ["changed", "changed"]


def test_a_call_with_wrong_arguments_fails_as_before_and_is_not_a_success(kind, kept):
    with pytest.raises(TypeError):
        kind(journy_track.track_event("changed_plan"))(nonsense=1)
    assert kept() == []


def test_every_kind_is_what_its_name_says(every_kind):
    """The matrix contains what it claims, so that no kind is tested as another."""
    kinds: list[Any] = []
    for make in every_kind:
        make(lambda function: kinds.append(function) or function)
    assert sum(inspect.iscoroutinefunction(made) for made in kinds) == 2
    assert sum(isinstance(made, classmethod) for made in kinds) == 1
    assert sum(isinstance(made, staticmethod) for made in kinds) == 1
    assert sum(inspect.isgeneratorfunction(made) for made in kinds) == 1
    assert sum(inspect.isasyncgenfunction(made) for made in kinds) == 1
