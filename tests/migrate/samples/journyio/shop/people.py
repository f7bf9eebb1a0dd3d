"""Who is in it, and what they have."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Company:
    id: str = "acme"
    name: str = "ACME"
    domain: str = "acme.com"
    plan: str = "free"
    seats: int = 3


@dataclass
class User:
    pk: int = 17
    email: str = "jane@acme.com"
    name: str = "Jane Doe"
    company: Company = field(default_factory=Company)
    is_staff: bool = False


@dataclass
class Invoice:
    number: str = "2026-117"
    total: float = 129.5
    currency: str = "EUR"
    paid_at: datetime = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


@dataclass
class Request:
    user: User = field(default_factory=User)
    data: dict[str, object] = field(default_factory=dict)
    path: str = "/projects"
