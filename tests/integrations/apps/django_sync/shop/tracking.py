"""What journy.io receives about the companies and the users."""

import os

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F

from shop.models import Company

#: Rows that the database returns at once: fewer than the queue holds, which holds fewer rows than there are.
CHUNK = 50


def accounts():
    # The primary key first: databases without an order of their own then have one, so kills happen at the same row.
    rows = Company.objects.order_by("number").values("plan", "mrr", "since", account_id=F("id"))
    if os.environ.get("IN_TRANSACTION"):
        with transaction.atomic():
            yield from rows.iterator(chunk_size=CHUNK)
    else:
        for number, row in enumerate(rows.iterator(chunk_size=CHUNK)):
            if number == CHUNK and connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SELECT name FROM pg_cursors WHERE is_holdable")
                    assert cursor.fetchone(), "not the cursor that a sync has to live with"
            yield row


def users():
    for user in User.objects.order_by("pk").iterator(chunk_size=CHUNK):
        yield {"user_id": user.pk, "email": user.email, "first_name": user.first_name}
