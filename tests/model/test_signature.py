"""Signatures are read without evaluating their annotations."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

import pytest

import journy_track
from journy_track._model.signature import signature_of

#: Since Python 3.14 an annotation is evaluated when it is read. This source does without the import from __future__,
#: which would turn all annotations into strings.
DEFERRED = textwrap.dedent("""
    def scrub(item: OnlyForTypeCheckers) -> OnlyForTypeCheckers:
        return item

    def wrong(one: OnlyForTypeCheckers, two: int): ...

    class Scrub:
        def __call__(self, item: OnlyForTypeCheckers):
            return item

    def divided(item: 1 / 0):
        return item

    def change(request: OnlyForTypeCheckers, plan: str = "free") -> OnlyForTypeCheckers: ...

    class Changes:
        def __call__(self, request: OnlyForTypeCheckers, plan: str = "free"): ...

    class CallsAnother:
        __call__ = Changes()

    class Service:
        def change(self, request: OnlyForTypeCheckers, plan: str = "free"): ...
""")
deferred = pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated at the definition")


class Broken:
    """Reading its signature raises an error of the app's."""

    @property
    def __signature__(self) -> Any:
        raise NameError("OnlyForTypeCheckers")

    def __call__(self, item: Any) -> Any:
        return item


@pytest.fixture
def app() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(compile(DEFERRED, "app.py", "exec", dont_inherit=True), namespace)
    return namespace


def test_a_signature_that_raises_is_one_that_is_not_known():
    with pytest.raises(ValueError, match="its signature raised NameError"):
        signature_of(Broken())


def test_a_hook_whose_signature_raises_is_taken_and_called(api):
    # Catches: a NameError while the app is imported.
    tracker = journy_track.configure("test-key-0123456789", base_url=api.url, before_send=Broken())
    journy_track.track("signed_in", user="jane")
    assert tracker.flush(timeout=10)
    assert [event.name for event in api.events] == ["signed_in"]


@deferred
@pytest.mark.parametrize("hook", ["scrub", "Scrub", "divided"])
def test_a_hook_may_name_what_is_imported_for_type_checkers(api, app, hook):
    before_send = app[hook]() if hook == "Scrub" else app[hook]
    tracker = journy_track.configure("test-key-0123456789", base_url=api.url, before_send=before_send)
    journy_track.track("signed_in", user="jane")
    assert tracker.flush(timeout=10)
    assert [event.name for event in api.events] == ["signed_in"]


@deferred
def test_such_a_hook_is_still_looked_at(api, app):
    with pytest.raises(journy_track.ConfigurationError, match="before_send must be a function that takes one"):
        journy_track.configure("test-key-0123456789", base_url=api.url, before_send=app["wrong"])


@deferred
@pytest.mark.parametrize(
    "make",
    [
        lambda app: app["change"],
        lambda app: app["Changes"](),
        lambda app: app["CallsAnother"](),
        lambda app: app["Service"]().change,
    ],
    ids=["function", "callable", "callable of a callable", "method"],
)
def test_arguments_are_captured_beside_what_only_type_checkers_know(journy_events, app, make):
    # Catches: a NameError when the app is imported, and an event lost because of call.arguments.
    decorated = journy_track.track_event(
        "changed", user="jane", capture=("plan",), metadata=lambda call: {"given": ", ".join(call.arguments)}
    )(make(app))
    decorated(None, "pro")
    [event] = journy_events
    assert event.metadata == {"plan": "pro", "given": "request, plan"}
