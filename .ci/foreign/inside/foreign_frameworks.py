"""Puts our integration on every app of a web framework, and a decorator on every view that is registered.

`ON_APPS` has what each variant does to an app, `ON_VIEWS` what it does to a view: `control` adds what does nothing,
`integration` ours with `@track_event`, `async` the same with callbacks that are coroutine functions.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from foreign_control import passing


def tracked(view: Any) -> Any:
    from journy_track import track_event

    return track_event("viewed", on="always", duration=True)(view)


ON_VIEWS: dict[str, Callable[[Any], Any]] = {"control": passing, "integration": tracked, "async": tracked}


def user(*_: Any) -> str:
    return "u1"


async def async_user(*_: Any) -> str:
    return "u1"


class _Passing:
    """An ASGI middleware that does nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, *arguments: Any) -> None:
        await self.app(*arguments)


def _on_asgi(app: Any, variant: str) -> None:
    if variant == "control":
        app.add_middleware(_Passing)
        return
    from journy_track.integrations.asgi import JournyMiddleware

    if variant == "async":
        app.add_middleware(JournyMiddleware, user=async_user, account=async_user)
    else:
        app.add_middleware(JournyMiddleware, user=user, account=user, link_devices=True)


def _on_flask(app: Any, variant: str) -> None:
    if variant == "control":
        app.wsgi_app = passing(app.wsgi_app)
        return
    from journy_track.integrations.flask import instrument_flask

    instrument_flask(app, user=user, account=user, link_devices=True)


def _flask(variant: str, decorate: Callable[[Any], Any]) -> None:
    from flask import Flask
    from flask.sansio.app import App
    from flask.sansio.blueprints import Blueprint

    _each_app(Flask, functools.partial(_on_flask, variant=variant))
    for kind in (App, Blueprint):
        _each_view(kind, "add_url_rule", "view_func", decorate)


def _starlette(variant: str, decorate: Callable[[Any], Any]) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route, WebSocketRoute

    _each_app(Starlette, functools.partial(_on_asgi, variant=variant))
    for kind in (Route, WebSocketRoute):
        _each_view(kind, "__init__", "endpoint", decorate)


def _fastapi(variant: str, decorate: Callable[[Any], Any]) -> None:
    from fastapi import FastAPI
    from fastapi.routing import APIRoute, APIWebSocketRoute

    _each_app(FastAPI, functools.partial(_on_asgi, variant=variant))
    for kind in (APIRoute, APIWebSocketRoute):
        _each_view(kind, "__init__", "endpoint", decorate)


def _django(variant: str, decorate: Callable[[Any], Any]) -> None:
    from django.conf import settings
    from django.core.handlers.base import BaseHandler
    from django.test.utils import override_settings
    from django.urls.resolvers import URLPattern

    middleware = "journy_track.integrations.django.JournyMiddleware"
    if variant == "control":
        middleware = f"{__name__}.django_passing"
    journy = {"user": f"{__name__}.user", "account": f"{__name__}.user", "link_devices": True}
    load: Any = BaseHandler.load_middleware

    @functools.wraps(load)
    def loaded(*args: Any, **kwargs: Any) -> None:
        with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, middleware], JOURNY=journy):
            load(*args, **kwargs)

    BaseHandler.load_middleware = loaded
    _each_view(URLPattern, "__init__", "callback", decorate)


def django_passing(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware that does nothing."""
    return passing(get_response)


django_passing.sync_capable = django_passing.async_capable = True  # type: ignore[attr-defined]

FRAMEWORKS = {"django": _django, "flask": _flask, "starlette": _starlette, "fastapi": _fastapi}


def _each_app(kind: type, change: Callable[[Any], None]) -> None:
    """Call *change* with each app that is made."""
    make: Any = kind.__init__

    @functools.wraps(make)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        change(self)

    kind.__init__ = made


def _each_view(kind: type, method: str, parameter: str, decorate: Callable[[Any], Any]) -> None:
    """Decorate what *method* gets as *parameter*."""
    register = getattr(kind, method)
    signature = inspect.signature(register)

    @functools.wraps(register)
    def registered(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if callable(view := bound.arguments.get(parameter)) and not inspect.isclass(view):
            bound.arguments[parameter] = decorate(view)
        return register(*bound.args, **bound.kwargs)

    setattr(kind, method, registered)


def _once(decorate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*decorate*, which gives the same for the same view: frameworks compare those that are registered twice."""
    made: dict[int, tuple[Any, Any]] = {}

    def decorated(view: Any) -> Any:
        if id(view) not in made:
            done = decorate(view)
            # Both stay alive, and with them their IDs.
            made[id(view)], made[id(done)] = (view, done), (done, done)
        return made[id(view)][1]

    return decorated


def install(framework: str, variant: str, taken: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> None:
    """Do so for each app of *framework*. *taken* makes a decorator that writes down what it refuses."""
    FRAMEWORKS[framework](variant, _once(taken(ON_VIEWS[variant])))
