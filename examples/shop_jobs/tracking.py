"""What the shop's three processes have in common. The rest is in their environment: see `compose.yaml`."""

import os

import journy_track

journy_track.configure(
    metadata={"service": os.environ.get("SERVICE", "shop")},
    propagate_to=("billing", "127.0.0.1"),  # our own services, by their hosts: no other one is told who acts
)
