"""The format of log lines, including when the app has not configured logging."""

from __future__ import annotations

import pytest

PROGRAM = """
import logging, sys
import journy_track
{logging}
journy_track.track("signed_in", user="u1")
journy_track.configure(base_url="http://127.0.0.1:9", before_send=lambda item: 1 / 0)
journy_track.track("100%_done", user="u1")
journy_track.flush(5)
"""


def test_without_logging_each_line_begins_with_who_speaks(run_program):
    done = run_program(PROGRAM.format(logging=""))
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("journy_track: ") for line in lines), lines


@pytest.mark.parametrize(
    "logging",
    ["logging.basicConfig(format='%(name)s|%(message)s')", "logging.getLogger('journy_track').addHandler(H())"],
)
def test_with_logging_the_loggers_name_is_not_repeated(run_program, logging):
    handler = """class H(logging.StreamHandler):
    def format(self, record):
        return f"journy_track|{record.getMessage()}"
"""
    done = run_program(PROGRAM.format(logging=handler + logging))
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("journy_track|") and "journy_track: " not in line for line in lines), lines
