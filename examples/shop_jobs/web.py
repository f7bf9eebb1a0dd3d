"""The shop's web process. A customer clicks Buy, which sends an event and a job for the worker."""

import jobs
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route
from starlette.types import Scope
from tracking import PlacedOrder  # which also configures journy_track

from journy_track.integrations.asgi import JournyMiddleware

COMPANIES = {"jane": "acme", "omar": "globex"}
PAGE = """<!doctype html><title>Shop</title><h1>Shop</h1>
<p>You are {user}, of {company}. <a href="/?as=jane">Be jane</a> · <a href="/?as=omar">Be omar</a></p>
<form method="post" action="/orders"><button>Buy</button></form>"""


def user_of(scope: Scope) -> str | None:
    """Replace this with your session."""
    return Request(scope).cookies.get("user")


def company_of(scope: Scope) -> str | None:
    return COMPANIES.get(user_of(scope) or "")


def shop(request: Request) -> HTMLResponse:
    user = request.query_params.get("as") or user_of(request.scope)
    user = user if user in COMPANIES else "jane"
    response = HTMLResponse(PAGE.format(user=user, company=COMPANIES[user]))
    response.set_cookie("user", user)
    return response


def buy(request: Request) -> RedirectResponse:
    PlacedOrder(product="desk").track()
    jobs.queue.enqueue(jobs.pack, "desk")
    return RedirectResponse("/", 303)


app = Starlette(
    routes=[Route("/", shop), Route("/orders", buy, methods=["POST"])],
    middleware=[Middleware(JournyMiddleware, user=user_of, account=company_of)],
)
