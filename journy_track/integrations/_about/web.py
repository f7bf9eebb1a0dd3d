"""Web frameworks: where they keep the functions that they call, and exceptions that end a request without failing it.

These are Flask, Starlette (and FastAPI, which is based on it), Litestar, aiohttp and Tornado.
"""

from __future__ import annotations

from typing import Final

from journy_track._model.frameworks import Framework, Holder

_FLASK_HOOKS = ("teardown_request_funcs", "after_request_funcs", "before_request_funcs", "error_handler_spec")

FRAMEWORK: Final = Framework(
    interruptions=frozenset(
        {
            ("aiohttp.web_exceptions", "HTTPRedirection"),
            ("aiohttp.web_exceptions", "HTTPSuccessful"),
            ("tornado.web", "Finish"),
        }
    ),
    registered={
        ("litestar.handlers.base", "BaseRouteHandler"): "a Litestar route handler",
        ("litestar.events.listener", "EventListener"): "a Litestar event listener",
    },
    holders={
        ("flask.sansio.scaffold", "Scaffold"): Holder((*_FLASK_HOOKS, "view_functions"), "@app.post"),
        ("starlette.applications", "Starlette"): Holder(("exception_handlers", "router"), "@app.post"),
        ("starlette.routing", "Router"): Holder(("on_shutdown", "on_startup", "routes"), "@router.post"),
        ("starlette.routing", "BaseRoute"): Holder(("original_router", "routes", "endpoint")),  # a Mount's, a Route's
        ("aiohttp.web_app", "Application"): Holder(("_subapps", "_router"), "@routes.post"),
        ("aiohttp.web_urldispatcher", "UrlDispatcher"): Holder(("_resources",)),
        ("aiohttp.web_urldispatcher", "Resource"): Holder(("_routes",)),
        ("aiohttp.web_urldispatcher", "AbstractRoute"): Holder(("handler",)),
        ("aiohttp.web_routedef", "RouteTableDef"): Holder(("_items",), "@routes.post"),
        ("aiohttp.web_routedef", "RouteDef"): Holder(("handler",)),
        ("blinker.base", "Signal"): Holder(("receivers",), "@signal.connect"),  # Flask's signals
    },
)
