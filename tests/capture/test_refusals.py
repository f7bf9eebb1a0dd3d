"""What `track_event` and the blocks reject, and with which message."""

from __future__ import annotations

import functools

import click
import pytest

import journy_track
from journy_track import InvalidArgument, track_event

BOTH = pytest.mark.parametrize("decorate", [track_event("worked"), journy_track.user("jane")], ids=["event", "block"])


def work(plan: str, amount: int = 1) -> None: ...


class Service:
    @property
    def plan(self) -> str:
        return "pro"


def fake(module: str, name: str, *bases: type) -> type:
    return type(name, bases, {"__module__": module, "__call__": lambda self: None})


@BOTH
def test_a_class_is_refused(decorate):
    with pytest.raises(InvalidArgument, match=r"got the class Service: decorate a method of it, such as __init__"):
        decorate(Service)


@BOTH
def test_a_property_is_refused(decorate):
    with pytest.raises(InvalidArgument, match=r"got a property: put @\w+(\(\))? below @property"):
        decorate(Service.plan)


@BOTH
@pytest.mark.parametrize("thing", ["text", 3, None, [work]])
def test_what_cannot_be_called_is_refused(decorate, thing):
    with pytest.raises(InvalidArgument, match="decorates functions, got"):
        decorate(thing)


@BOTH
@pytest.mark.parametrize(
    "kind",
    [
        fake("celery.app.task", "Task"),
        fake("app.tasks", "OwnTask", fake("celery.app.task", "Task")),
        fake("celery.local", "PromiseProxy"),
        fake("celery.local", "Proxy"),
    ],
)
def test_a_celery_task_is_refused(decorate, kind):
    pytest.importorskip("celery")  # a framework is only recognised once it is imported
    with pytest.raises(InvalidArgument, match=r"got a Celery task.*put @\w+(\(\))? below the framework's own"):
        decorate(kind())


@BOTH
@pytest.mark.parametrize("make", [click.command(), click.group()])
def test_a_click_command_is_refused(decorate, make):
    with pytest.raises(InvalidArgument, match="got a click command"):
        decorate(make(lambda: None))


def test_a_lazy_proxy_is_refused_without_being_evaluated():
    pytest.importorskip("celery")

    class Proxy:
        @property
        def __class__(self) -> type:
            raise AssertionError("evaluated")

    Proxy.__module__, Proxy.__qualname__ = "celery.local", "Proxy"
    with pytest.raises(InvalidArgument, match="a Celery task"):
        track_event("worked")(Proxy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: journy_track.track("e", user="u1", after_commit="later"),
            "after_commit must be True or False, got str",
        ),
        (
            lambda: journy_track.upsert_user(user="u1", after_commit=1),
            "after_commit must be True or False, got int 1",
        ),
        (lambda: journy_track.scope(inherit="yes"), "inherit must be True or False, got str 'yes'"),
        (lambda: journy_track.upsert_user("u1", name="Jane"), "got str 'u1': .* as user= or account="),
        (
            lambda: journy_track.add_users_to_account(None, ["u1"]),
            "account is required .*: this call ignores the context",
        ),
        (lambda: journy_track.add_users_to_account("acme", ["u1", None]), "users holds None: user_id is required"),
    ],
)
def test_a_wrong_argument_of_a_call_is_named_with_what_it_was(tracker, call, message):
    with pytest.raises(InvalidArgument, match=message):
        call()
    assert tracker.stats().captured == 0


async def later(call):
    return {"plan": "pro"}


@pytest.mark.filterwarnings("ignore:coroutine 'later' was never awaited")
@pytest.mark.parametrize("callback", [lambda call: 5, later])
def test_a_callback_that_does_not_return_a_mapping_is_named_and_the_event_goes_out(api, tracker, caplog, callback):
    with journy_track.user("u1"):
        track_event("e", metadata=callback)(work)("pro")
    assert "must return a mapping or None, and is not awaited; got " in caplog.text
    assert tracker.flush(20)
    assert [event.name for event in api.events] == ["e"]


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(name):
    with pytest.raises(InvalidArgument, match="name is required and must not be empty"):
        track_event(name)


@pytest.mark.parametrize("nameless", [lambda: None, functools.partial(work, "pro")])
def test_what_has_no_name_needs_one(nameless):
    for bare in (track_event, track_event()):
        with pytest.raises(InvalidArgument, match=r"has no name: pass one, as in @track_event\('signed_in'\)"):
            bare(nameless)
    assert track_event("named")(nameless) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capture": "plan"}, r"capture must be a tuple of argument names.*capture=\('plan',\)"),
        ({"capture": 3}, "capture must be a tuple of argument names"),
        ({"capture": ("",)}, "capture must hold argument names"),
        ({"capture": (1,)}, "capture must hold argument names"),
        ({"on": "failure"}, "on must be one of 'success', 'error', 'always'"),
        ({"on": ["success"]}, "on must be one of"),
        ({"duration": 1}, "duration must be True or False"),
        ({"when": True}, "when must be a function of the finished call"),
        ({"metadata": "plan"}, "metadata must be a mapping or a function of the finished call"),
        ({"user": ""}, "user_id is empty"),
        ({"user": 1.5}, "user_id must be an ID"),
        ({"user": str}, "user_id must be an ID"),
        ({"account": journy_track.UserIdentified("u")}, "account must be an account"),
        ({"metdata": {}}, r"track_event has no option 'metdata': did you mean 'metadata'\?"),
        ({"colour": {}}, "track_event has no option 'colour': the options are metadata, capture"),
    ],
)
@pytest.mark.parametrize("name", [("worked",), ()])
def test_a_wrong_option_is_refused_before_there_is_a_function(options, message, name):
    with pytest.raises(InvalidArgument, match=message):
        track_event(*name, **options)


def test_options_without_the_decorators_call_are_refused():
    with pytest.raises(InvalidArgument, match="give the name first, then options, then the function"):
        track_event(work, on="always")


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        (("ammount",), "no argument 'ammount': did you mean 'amount'?"),
        (("plan", "zzz"), "no argument 'zzz': it takes plan, amount"),
    ],
)
def test_an_unknown_argument_in_capture_is_refused_where_the_function_is_decorated(capture, message):
    decorate = track_event("worked", capture=capture)
    with pytest.raises(InvalidArgument) as refused:
        decorate(work)
    assert message in str(refused.value)


def test_capture_from_keywords_is_taken_where_the_call_has_them(kept):
    @track_event("worked", capture=("plan", "seats"), user="jane")
    def changed(**options: object) -> None: ...

    changed(plan="pro")
    assert kept.one().metadata == {"plan": "pro"}


def test_capture_needs_a_signature():
    with pytest.raises(InvalidArgument, match="signature of this function is not known, so use metadata="):
        track_event("worked", capture=("plan",))(min)


def test_in_capture_methods_name_their_own_arguments():
    decorate = track_event("worked", capture=("plan",))

    class Service:
        @decorate
        @classmethod
        def below(cls, plan: str) -> None: ...

        @decorate
        @staticmethod
        def plain(plan: str) -> None: ...

    assert Service.below.__name__ == "below"
    assert Service.plain.__name__ == "plain"
