"""The shop's billing service. It has no customers of its own: its callers send the user with each request."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tracking import CreatedInvoice  # which also configures journy_track

from journy_track.integrations.asgi import JournyMiddleware


async def create_invoice(request: Request) -> JSONResponse:
    order = await request.json()
    CreatedInvoice(product=order["product"]).track()
    return JSONResponse({"amount": 499})


app = Starlette(
    routes=[Route("/invoices", create_invoice, methods=["POST"])],
    middleware=[Middleware(JournyMiddleware, trust="signed")],  # with JOURNY_CARRIER_SECRET, the same as its callers
)
