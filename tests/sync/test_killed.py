"""A killed sync: the next one continues, and sends almost nothing twice."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.timing import eventually

PROGRAM = """
    import sys
    import journy_track

    journy_track.configure("test-key-0123456789", base_url=sys.argv[1], max_connections=4)
    rows = ((f"a{number}", {"plan": "pro", "seats": number}) for number in range(2000))
    print(journy_track.sync_accounts(rows, state=sys.argv[2], share=1.0))
"""


@pytest.mark.parametrize("at", [1, 100, 777])
def test_after_a_kill_nothing_is_missing_and_at_most_max_connections_come_twice(
    api, start_program, run_program, tmp_path, at
):
    state = str(tmp_path / "journy.state")
    killed = start_program(PROGRAM, api.url, state)
    eventually(lambda: len(api.requests) >= at)
    killed.kill()
    killed.wait(10)
    assert len(api.requests) < 2000, "it was not killed in the middle"
    done = run_program(PROGRAM, api.url, state)
    assert done.status == 0, done.err
    times = Counter(request.json["identification"]["accountId"] for request in api.requests)
    assert len(times) == 2000
    assert sum(times.values()) - 2000 <= 4
    assert "2,000 captured" in done.out
