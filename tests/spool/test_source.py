"""A file while its items are delivered: what is read and not settled is never taken for settled."""

from __future__ import annotations

import pytest

from journy_track._spool.file import SpoolFile
from journy_track._spool.source import Source


@pytest.fixture
def source(tmp_path):
    made = Source(SpoolFile.create(tmp_path, "https://api.journy.io"))
    made.write([(1.0, "a"), (2.0, "b")], lambda found: None)
    yield made
    made.close()


def test_what_was_just_read_is_not_settled(source):
    # Catches: who waits at the end of the process, and looks before the reader has noted what it read.
    assert not source.is_settled(2)
    rows = source.read(10)
    assert not source.is_settled(2)
    for row in rows:
        assert not source.is_settled(2)
        source.remove([row.seq])
        source.forget(row.seq)
    assert source.is_settled(2)
    assert source.is_done()
