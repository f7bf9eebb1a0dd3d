"""`lazy import`, of Python 3.15: nothing is loaded before its first use, and then everything works."""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.version_info < (3, 15), reason="the statement is not known")


@pytest.mark.parametrize("statement", ["lazy import journy_track", "lazy from journy_track import track, configure"])
def test_a_lazy_import_loads_nothing_before_its_first_use(api, run_program, statement):
    prefix = "journy_track." if statement.endswith("import journy_track") else ""
    done = run_program(
        f"""
        import os, sys
        {statement}
        print("journy_track" in sys.modules)
        tracker = {prefix}configure(base_url=os.environ["API_URL"])
        {prefix}track("signed_in", user="u1")
        print(tracker.flush(20))
        """,
        API_URL=api.url,
    )
    assert (done.out.split(), done.status) == (["False", "True"], 0), done.err
    assert [event.name for event in api.events] == ["signed_in"]


def test_with_all_imports_lazy_everything_is_there_when_it_is_configured(api, run_program):
    done = run_program(
        """
        import os, subprocess, sys
        program = "import journy_track; t = journy_track.configure(); journy_track.track('signed_in', user='u1')"
        subprocess.run([sys.executable, "-X", "lazy_imports=all", "-c", program], check=True)
        """,
        JOURNY_BASE_URL=api.url,
    )
    assert (done.status, done.err) == (0, "")
    assert [event.name for event in api.events] == ["signed_in"]
