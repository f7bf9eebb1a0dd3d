"""The README is short, and leads to a first success early."""

from __future__ import annotations

import re

from .reading import README

#: What readers do not see does not count as a line.
VISIBLE = re.sub(r"<!--.*?-->\n", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_it_is_read_in_five_minutes():
    assert len(VISIBLE.splitlines()) <= 220


def test_the_first_success_is_on_the_first_two_screens():
    """A screen is 50 lines long."""
    first = VISIBLE.splitlines()[:100]
    assert any("journy-track demo" in line for line in first)
    assert any("journy-track inspect" in line for line in first)
