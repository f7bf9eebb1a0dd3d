"""A helper as many code bases have one."""

from __future__ import annotations

from segment.analytics import Client

from .people import User


class Funnel:
    """Follows somebody through the check-out."""

    def __init__(self, user: User) -> None:
        self._client = Client("a-third-key")
        self._user = user

    def begin(self) -> None:
        self._client.track(self._user.pk, "Checkout Started", {"step": 1})

    def step(self, number: int, *, seconds: float) -> None:
        self._client.track(self._user.pk, "Checkout Step Completed", {"step": number, "seconds": seconds})

    def finish(self, total: float) -> None:
        self._client.track(
            self._user.pk,
            "Checkout Completed",
            {
                "total": total,
                "currency": "EUR",
            },
        )
        self._client.identify(self._user.pk, {"paying": True, "tags": ["customer", "2026"]})
        self._client.shutdown()

    def give_up(self) -> None:
        self._client.track(self._user.pk, "Checkout Abandoned", dict(step=2))
