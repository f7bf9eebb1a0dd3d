"""Every block of code in README and on the pages runs against the inspector, and sends what its comment lists."""

from __future__ import annotations

import pytest
from api_description import check_request

import journy_track

from .reading import FOLLOWED, PAGES, README, blocks, name_of
from .scenes import SCENES, Stage
from .telling import told

#: Pages whose blocks have separate tests.
TESTED_ELSEWHERE = {"guides/jobs", "guides/many-machines", "guides/write-key"}
ALL = [
    block
    for path in [README, *PAGES]
    if name_of(path) not in TESTED_ELSEWHERE and FOLLOWED not in (text := path.read_text(encoding="utf-8"))
    for block in blocks(text, name_of(path))
]
#: Checked elsewhere (`test_commands.py`), or drawings.
NOT_CODE = {"console", "text"}


def played(stage: Stage) -> list[str]:
    """Run the block in its scene. Returns the requests that arrive, in alphabetical order."""
    if "configure(" not in stage.source:
        journy_track.configure()
    SCENES[stage.block.scene or ""](stage)
    assert journy_track.flush(timeout=30)
    for request in stage.api.requests:
        check_request(request)
    return sorted(map(told, stage.api.requests))


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in ALL if block.scene is not None], ids=lambda block: block.label)
def test_a_block_sends_what_it_says(stage, block):
    assert played(stage(block)) == sorted(block.requests)


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.label)
def test_no_block_is_left_out(block):
    known = block.scene in SCENES if block.scene is not None else block.language in NOT_CODE or block.not_run
    assert known, f"{block.label}: say in a comment in front of it how it runs and what it sends, or why not"
