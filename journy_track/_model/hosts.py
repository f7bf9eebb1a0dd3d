"""Host names and patterns, for `propagate_to`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

#: A host name, or `*.` and a domain name, which matches all hosts in the domain but not the domain itself.
_NAMED: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def hosts(value: Any) -> tuple[str, ...]:
    """Check *value* and return it in lower case. Raises `ValueError` with a description of what is expected."""
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in value):
        names = tuple(name.strip().lower().rstrip(".") for name in value)
        if all(_NAMED.fullmatch(name) for name in names):
            return names
    raise ValueError("names of hosts, each as in 'billing.internal' or '*.internal': no URLs, ports or bare '*'")


def is_among(host: str, names: Iterable[str]) -> bool:
    """Whether *host* matches one of *names*, which `hosts` has checked."""
    host = host.lower().rstrip(".")
    return any(
        host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name for name in names
    )
