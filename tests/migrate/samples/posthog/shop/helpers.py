"""A helper as many code bases have one."""

from __future__ import annotations

from posthog import Posthog

from .people import User


class Funnel:
    """Follows somebody through the check-out."""

    def __init__(self, user: User) -> None:
        self._posthog = Posthog(project_api_key="phc_a_third_key")
        self._user = user

    def begin(self) -> None:
        if self._posthog.feature_enabled("new-checkout", str(self._user.pk)):
            return
        self._posthog.capture("checkout started", distinct_id=self._user.pk, properties={"step": 1})

    def step(self, number: int, *, seconds: float) -> None:
        self._posthog.capture(
            "checkout step completed", distinct_id=self._user.pk, properties={"step": number, "seconds": seconds}
        )

    def finish(self, total: float) -> None:
        self._posthog.capture(
            "checkout completed",
            distinct_id=self._user.pk,
            properties={
                "total": total,
                "currency": "EUR",
            },
        )
        self._posthog.set(distinct_id=self._user.pk, properties={"paying": True, "tags": ["customer", "2026"]})
