"""The shop's jobs, for an RQ worker. Packing requests an invoice from the billing service."""

import os

import requests
from redis import Redis
from rq import Queue
from tracking import PackedOrder  # which also configures journy_track

from journy_track.integrations.rq import instrument_rq

instrument_rq()
queue = Queue(connection=Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")))
BILLING = os.environ.get("BILLING_URL", "http://127.0.0.1:8001")


def pack(product: str) -> None:
    requests.post(f"{BILLING}/invoices", json={"product": product}, timeout=10).raise_for_status()
    PackedOrder(product=product).track()
