"""The paying customers."""

import uuid

from django.db import models


class Company(models.Model):  # noqa: DJ008 - nobody reads it
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    number = models.IntegerField()
    plan = models.CharField(max_length=20)
    mrr = models.DecimalField(max_digits=8, decimal_places=2)
    since = models.DateTimeField(auto_now_add=True)
