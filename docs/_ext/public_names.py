"""Shows public names as users import them: `journy_track.UserIdentified`, wherever it is defined."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import django.conf
from sphinx.application import Sphinx

import journy_track
from journy_track import _verbs, broker, client, inspector, testing
from journy_track._capture import attributes, blocks, flushing, options
from journy_track._model import frozendict, identity, secret

#: Private names that signatures show, without the modules that they are in.
SHOWN = (blocks.Block, flushing.Flushed, attributes.Unset, frozendict.FrozenDict, secret.Secret)


def setup(app: Sphinx) -> dict[str, Any]:
    django.conf.settings.configure()
    for module in (journy_track, broker, inspector, testing):
        for name in module.__all__:
            thing = getattr(module, name)  # looked up on first use, so that autodoc finds a plain attribute
            if inspect.isclass(thing) or inspect.isfunction(thing):
                thing.__module__ = module.__name__
    _give_tracker_its_verbs()
    _name_types()
    return {"parallel_read_safe": True}


def _give_tracker_its_verbs() -> None:
    """A `Tracker` inherits them from a private class; `track_event` has the signature that type checkers see."""
    for name, verb in vars(_verbs.Verbs).items():
        if inspect.isfunction(verb) and not name.startswith("_"):
            setattr(journy_track.Tracker, name, verb)
    # The overloads are registered under the name that the method had when they were written.
    registered = types.SimpleNamespace(__module__=_verbs.__name__, __qualname__="Verbs.track_event")
    signature = inspect.signature(typing.get_overloads(registered)[-1])
    _verbs.Verbs.track_event.__signature__ = signature.replace(
        parameters=[p.replace(default=...) if p.name == "name" else p for p in signature.parameters.values()]
    )


def _name_types() -> None:
    """Names of types instead of the unions that they stand for."""
    identifier, item = type("Identifier", (), {}), type("Item", (), {})
    for module in (_verbs, client, testing, blocks, identity, options):
        vars(module).update(Identifier=identifier)
    _verbs.User = identifier | identity.UserIdentified
    _verbs.Account = identifier | identity.AccountIdentified
    _verbs.UserOption = identifier | identity.UserIdentified | Callable[[options.Call], Any] | None
    _verbs.AccountOption = identifier | identity.AccountIdentified | Callable[[options.Call], Any] | None
    testing.Item = item
    for kind in (identifier, item, *SHOWN):
        kind.__module__ = "builtins"
    for function in (journy_track.configure, journy_track.Tracker.__init__):
        function.__annotations__["settings"] = object
