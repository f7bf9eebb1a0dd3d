"""What the shop's three processes share: settings and events. The other settings are in their environment, as in
`compose.yaml`.
"""

import os

import journy_track
from journy_track import TypedEvent

journy_track.configure(
    metadata={"service": os.environ.get("SERVICE", "shop")},
    propagate_to=("billing", "127.0.0.1"),  # our own services, by host: no other host receives the user
)


@journy_track.event
class PlacedOrder(TypedEvent):
    """A customer has clicked Buy."""

    product: str


@journy_track.event
class PackedOrder(TypedEvent):
    """An order is ready to be sent, and has its invoice."""

    product: str


@journy_track.event
class CreatedInvoice(TypedEvent):
    """The billing service has created an invoice."""

    product: str
