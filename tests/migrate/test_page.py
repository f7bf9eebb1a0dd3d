"""The documentation page shows what the command does."""

from __future__ import annotations

from docs.reading import DOCS, blocks


def test_the_example_of_the_page_is_what_becomes_of_it(moved):
    before, after = (
        block.source
        for block in blocks((DOCS / "guides" / "moving.md").read_text(encoding="utf-8"))
        if block.language == "python"
    )
    done = moved("segment", before)
    assert done.left == []
    assert done.text == after
