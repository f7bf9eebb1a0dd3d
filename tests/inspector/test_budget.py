"""The inspector shows how a key's budget was spent, second by second."""

from journy_track.inspector import Inspector
from journy_track.inspector.meter import MAX_KEYS, SHOWN, Meter


def counted(meter, label="…key1"):
    return next(one["seconds"] for one in meter.spending() if one["key"] == label)


def test_each_second_counts_requests_refusals_and_what_they_took():
    meter = Meter(window=60)
    for second, refused in ((100, False), (100, True), (102, False)):
        meter.count(b"k", "…key1", second, refused=refused, taken=not refused)
    assert counted(meter) == [[100, 2, 1, 1], [102, 1, 0, 1]]


def test_what_is_older_than_the_plot_and_its_window_is_forgotten():
    meter = Meter(window=60)
    for second in range(0, 5000, 10):
        meter.count(b"k", "…key1", second, refused=False, taken=True)
    assert counted(meter)[0][0] > 4990 - SHOWN - 62
    assert counted(meter)[-1][0] == 4990


def test_the_keys_that_were_used_last_are_kept():
    meter = Meter(window=60)
    for number in range(MAX_KEYS + 5):
        meter.count(b"%d" % number, f"…{number:04}", 100, refused=False, taken=True)
    assert [one["key"] for one in meter.spending()] == [f"…{number:04}" for number in range(MAX_KEYS + 4, 4, -1)]


def test_a_key_has_a_number_of_its_own_however_short_it_is():
    meter = Meter(window=60)
    for key in (b"a", b"b", b"a"):
        meter.count(key, "…", 100, refused=False, taken=True)
    assert [(one["key"], one["number"]) for one in meter.spending()] == [("…", 1), ("…", 2)]


def test_the_page_reads_it(caller_of):
    with Inspector(limit=2, window=30) as api:
        call, stranger = caller_of(api.url), caller_of(api.url, key=None)
        for _ in range(3):
            call.track()
        stranger.track()
        budget = call("GET", "/__inspector/budget").json()
    assert (budget["limit"], budget["window"]) == (2, 30)
    totals = {one["key"]: [sum(column) for column in zip(*one["seconds"], strict=True)][1:] for one in budget["keys"]}
    assert totals == {"…ests": [3, 1, 2], "no key": [1, 0, 0]}
