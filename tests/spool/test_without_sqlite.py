"""A Python built without SQLite: features that need it name the cause, and the rest works."""

from __future__ import annotations

import pytest

WITHOUT = """
import sys
sys.modules["_sqlite3"] = None  # as where Python was built without SQLite's headers
"""
CONFIGURE = """
import os
import journy_track
try:
    journy_track.configure("a-key", spool="spool")
except journy_track.ConfigurationError as error:
    print(error)
journy_track.configure("a-key", base_url=os.environ["JOURNY_BASE_URL"])
journy_track.track("signed_in", user="u1")
assert journy_track.flush(20)
"""
COMMAND = """
from journy_track.cli import main
main()
"""
CAUSE = "spool needs SQLite, and this Python was built without it"


def test_a_spool_names_the_cause_and_without_one_all_works(api, run_program):
    ran = run_program(WITHOUT + CONFIGURE, JOURNY_BASE_URL=api.url)
    assert (ran.status, ran.err) == (0, "")
    assert CAUSE in ran.out
    assert len(api.events) == 1


@pytest.mark.parametrize(
    ("command", "status"), [("spool", 2), ("spool status .", 2), ("doctor --offline", 1), ("relay", 2), ("--help", 0)]
)
def test_commands_name_the_cause_or_work(run_program, tmp_path, command, status):
    ran = run_program(
        WITHOUT + COMMAND, *command.split(), JOURNY_SPOOL=str(tmp_path), JOURNY_API_KEY="a-key", COLUMNS="500"
    )
    assert ran.status == status
    assert "Traceback" not in ran.err
    if command not in ("relay", "--help"):
        assert CAUSE in ran.out + ran.err
