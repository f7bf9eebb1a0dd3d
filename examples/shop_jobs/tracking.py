"""What the shop's three processes have in common: settings and events. The rest is in their environment, as
`compose.yaml` has it.
"""

import os

import journy_track
from journy_track import TypedEvent

journy_track.configure(
    metadata={"service": os.environ.get("SERVICE", "shop")},
    propagate_to=("billing", "127.0.0.1"),  # our own services, by their hosts: no other one is told who acts
)


@journy_track.event
class PlacedOrder(TypedEvent):
    """A customer has clicked Buy."""

    product: str


@journy_track.event
class PackedOrder(TypedEvent):
    """It is ready to be sent, and has its invoice."""

    product: str


@journy_track.event
class CreatedInvoice(TypedEvent):
    """The billing service has made an invoice."""

    product: str
