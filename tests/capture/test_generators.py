"""Tracked generators: what is sent into them, what they yield, and when they count."""

from __future__ import annotations

import _thread
import gc
import threading

import pytest

import journy_track
from journy_track import track_event
from journy_track._capture import bodies, context


@pytest.fixture(autouse=True)
def _as_jane():
    with journy_track.user("jane"):
        yield


def echo():
    """Yield whatever is sent or thrown in, except GeneratorExit. Returns the last value."""
    got = None
    while got != "end":
        try:
            got = yield got
        except Exception as error:
            got = error
    return "returned"


def test_send_throw_and_the_return_value_pass_through(kept):
    stream = track_event("listed")(echo)()
    error = KeyError("mine")
    assert next(stream) is None
    assert stream.send("one") == "one"
    assert stream.throw(error) is error
    with pytest.raises(StopIteration) as stop:
        stream.send("end")
    assert stop.value.value == "returned"
    assert kept.names() == ["listed"]


def test_the_event_comes_at_exhaustion_not_at_the_call(kept):
    stream = track_event("listed")(lambda: (yield 1))()
    assert kept() == []
    assert next(stream) == 1
    assert kept() == []
    assert next(stream, "done") == "done"
    assert kept.names() == ["listed"]


def test_the_return_value_is_the_calls_result(kept):
    @track_event("listed", metadata=lambda call: {"result": call.result})
    def rows():
        yield 1
        return 2

    def delegating():
        return (yield from rows())

    stream = delegating()
    next(stream)
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == 2
    assert kept.one().metadata == {"result": 2}


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_one_closed_early_counts_only_for_always(on, expected, kept):
    closed = []

    @track_event("listed", on=on)
    def rows():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    stream = rows()
    next(stream)
    stream.close()
    assert closed == [True]
    assert len(kept()) == expected


@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_one_that_catches_generator_exit_and_returns_was_closed_all_the_same(on, expected, kept):
    @track_event("listed", on=on)
    def rows():
        try:
            yield 1
        except GeneratorExit:
            return 5

    stream = rows()
    next(stream)
    stream.close()
    assert len(kept()) == expected


def test_one_that_ignores_generator_exit_raises_as_before_and_counts_when_it_ends(kept):
    @track_event("listed")
    def rows():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    stream = rows()
    next(stream)
    with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        stream.close()
    assert kept() == []
    assert list(stream) == []
    assert kept.names() == ["listed"]


@pytest.mark.slow
@pytest.mark.parametrize("on", ["success", "error", "always"])
def test_one_never_started_emits_nothing(on, kept):
    made = track_event("listed", on=on)(echo)
    made()
    made().close()
    gc.collect()
    assert kept() == []


@pytest.mark.parametrize("on", ["success", "error", "always"])
def test_one_that_is_still_suspended_emits_nothing(on, kept):
    stream = track_event("listed", on=on)(echo)()
    next(stream)
    assert kept() == []
    stream.close()


def test_an_exception_of_the_body_is_the_same_object_and_an_error(kept):
    error = ValueError("mine")

    @track_event("listed", on="error")
    def rows():
        yield 1
        raise error

    stream = rows()
    next(stream)
    with pytest.raises(ValueError, match="mine") as raised:
        next(stream)
    assert raised.value is error
    assert kept.one().metadata == {"error_type": "ValueError"}


def test_an_exception_thrown_in_and_not_caught_is_an_error(kept):
    stream = track_event("listed", on="error")(lambda: (yield 1))()
    next(stream)
    error = KeyError("mine")
    with pytest.raises(KeyError) as raised:
        stream.throw(error)
    assert raised.value is error
    assert kept.one().metadata == {"error_type": "KeyError"}


def test_stop_iteration_in_the_body_is_a_runtime_error_as_before(kept):
    @track_event("listed", on="error")
    def rows():
        yield 1
        next(iter(()))

    stream = rows()
    next(stream)
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        next(stream)
    assert kept.one().metadata == {"error_type": "RuntimeError"}


def test_a_generator_that_resumes_itself_fails_as_before():
    streams = []

    @track_event("listed")
    def rows():
        yield next(streams[0])

    streams.append(rows())
    with pytest.raises(ValueError, match="generator already executing"):
        next(streams[0])


def test_identity_and_metadata_are_the_bodys_own_at_exhaustion(kept):
    @track_event("listed")
    def rows():
        journy_track.add_metadata(rows=2)
        yield from (1, 2)
        journy_track.set_user("set in the body")

    with journy_track.scope():
        journy_track.set_user("request")
        with journy_track.metadata(at="call"):
            stream = rows()
        with journy_track.metadata(at="exhaustion"):
            assert list(stream) == [1, 2]
    event = kept.one()
    assert (event.user.user_id, event.metadata) == ("set in the body", {"at": "call", "rows": 2})


def test_a_block_in_the_body_was_left_when_the_generator_ended(kept):
    @track_event("listed")
    def rows():
        with journy_track.user("in the body"):
            yield 1

    list(rows())
    assert kept.users() == ["jane"]


def test_each_call_is_a_generator_of_its_own(kept):
    rows = track_event("listed")(echo)
    first, second = rows(), rows()
    assert first is not second
    next(first), next(second)
    first.close()
    assert second.send("still here") == "still here"
    assert next(second) is None
    assert next(second) is None


def test_the_generator_carries_the_functions_name():
    stream = track_event("listed")(echo)()
    assert (stream.__name__, stream.__qualname__) == ("echo", "echo")


@pytest.fixture
def sets(monkeypatch):
    """Every frame that a body sets, in order: its own, or the consumer's when it gives back control."""
    frames = []
    gc.collect()  # generators that other tests abandoned set frames when they are collected
    monkeypatch.setattr(bodies, "set_frame", lambda frame: frames.append(frame) or context.set_frame(frame))
    return frames


@pytest.mark.slow
def test_a_body_in_its_consumers_context_sets_nothing(sets, whoami):
    @track_event("listed")
    def rows():
        for _ in range(3):
            yield whoami()

    assert list(rows()) == ["jane"] * 3
    assert sets == []


@pytest.mark.slow
def test_a_body_with_a_context_of_its_own_sets_it_and_the_consumers_once_a_step(sets):
    stream = journy_track.user("A")(echo)()
    next(stream)
    consumers = context.current_frame()
    [own, _] = sets
    assert sets == [own, consumers]
    stream.send("one")
    assert sets == [own, consumers] * 2


def test_a_body_that_began_in_its_consumers_context_keeps_it_when_the_consumers_changes(whoami):
    @track_event("listed")
    def rows():
        while True:
            with journy_track.user("in the block"):
                yield whoami()
            yield whoami()

    stream = rows()
    assert [next(stream), whoami()] == ["in the block", "jane"]
    assert [next(stream), whoami()] == ["jane", "jane"]
    with journy_track.user("another"):
        assert [next(stream), whoami()] == ["in the block", "another"]
        assert [next(stream), whoami()] == ["jane", "another"]
    assert [next(stream), whoami()] == ["in the block", "jane"]


def test_what_a_body_leaves_behind_in_its_consumers_context_stays_its_own(whoami):
    @track_event("listed")
    def rows():
        journy_track.user("entered").__enter__()
        yield whoami()
        raise KeyError("row")

    stream = rows()
    assert [next(stream), whoami()] == ["entered", "jane"]
    with pytest.raises(KeyError, match="row"):
        next(stream)
    assert whoami() == "jane"


def test_a_generator_that_no_python_code_resumes_works(kept):
    """Naive: inspecting the resuming frame, which does not exist in such a thread."""
    ended = threading.Event()

    @track_event("listed", user="u1")
    def rows():
        yield from ()
        ended.set()

    _thread.start_new_thread(next, (rows(), None))
    assert ended.wait(10)
    assert kept.names() == ["listed"]
