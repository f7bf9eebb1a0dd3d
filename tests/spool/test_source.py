"""A file during delivery: unsettled items are never considered settled, and others' changes are counted once."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from journy_track._stores.sqlite.errors import SpoolError
from journy_track._stores.sqlite.file import SpoolFile
from journy_track._stores.sqlite.source import OpenFile
from journy_track._stores.store import DeadLetter

LETTER = DeadLetter(0, 1.0, "c", 2.0, "400")


@pytest.fixture
def source(tmp_path):
    made = OpenFile(SpoolFile.create(tmp_path, "https://api.journy.io"))
    made.write([(1.0, "a"), (2.0, "b")], lambda found: None)
    yield made
    made.close()


@pytest.fixture
def other(source):
    """The same file as another process opens it."""
    looking = SpoolFile(source.file.path)
    yield looking
    looking.close()


def put_back(other: SpoolFile) -> None:
    other.dead_letter([], LETTER)
    other.retry(3.0)


def then(does: Callable[..., Any], what: Callable[[], object]) -> Callable[..., Any]:
    """Return a function that calls *does* and right afterwards *what*."""

    def done(*arguments: Any, **named: Any) -> Any:
        answer = does(*arguments, **named)
        what()
        return answer

    return done


def messages(source: OpenFile) -> list[str]:
    return [row.message for row in source.read(10)]


def searching(*texts: str) -> Any:
    return SimpleNamespace(texts=texts, left=lambda message: None)


def test_what_was_just_read_is_not_settled(source):
    # Catches: a check at process exit that runs before the reader has recorded what it read.
    assert not source.is_settled(2)
    rows = source.read(10)
    assert not source.is_settled(2)
    for row in rows:
        assert not source.is_settled(2)
        source.remove([row.seq])
        source.forget(row.seq)
    assert source.is_settled(2)
    assert source.is_done()


# ── What others do meanwhile ──


def test_what_somebody_puts_there_before_it_is_read_is_found_first_and_read_once(source, other):
    assert source.recount() == (0, 0)
    put_back(other)
    assert (messages(source), source.unread) == (["a", "b"], 0)
    assert (source.recount(), source.unread) == ((1, 0), 1)
    assert (messages(source), source.unread) == (["c"], 0)
    assert source.recount() == (0, 0)
    assert messages(source) == []


def test_what_somebody_puts_there_during_a_recount_is_found_by_the_next_one(source, other, monkeypatch):
    put_back(other)
    with monkeypatch.context() as patch:
        patch.setattr(source.file, "last", then(source.file.last, lambda: put_back(other)))
        assert (source.recount(), source.unread) == ((1, 0), 3)
    assert (source.recount(), source.unread) == ((1, 0), 4)
    assert messages(source) == ["a", "b", "c", "c"]


def test_what_somebody_puts_there_while_it_is_taken_over_is_found_once(source, other, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(source.file, "last", then(source.file.last, lambda: put_back(other)))
        again = OpenFile(source.file)
    assert again.unread == 2
    assert (again.recount(), again.unread) == ((1, 0), 3)


def test_what_somebody_removes_before_it_is_read_is_missing_once(source, other):
    assert source.recount() == (0, 0)
    assert other.forget(waiting=True) == 2
    assert messages(source) == []
    assert source.is_settled(2)
    assert source.file.changed()
    assert (source.recount(), source.unread) == ((0, 2), 0)
    assert source.recount() == (0, 0)
    assert source.is_done()


def test_a_purge_removes_what_was_not_found_yet_and_does_not_count_it(source, other):
    put_back(other)
    assert source.purge(searching("a", "c"), 9.0, None) == 1
    assert (source.unread, other.waiting()) == (1, 1)
    assert (source.recount(), messages(source)) == ((0, 0), ["b"])


def test_of_a_purge_that_ends_halfway_nothing_is_counted_twice_nor_never(source, monkeypatch):
    def full():
        raise SpoolError("full")

    with monkeypatch.context() as patch:
        patch.setattr(source.file, "purge", then(source.file.purge, full))
        with pytest.raises(SpoolError):
            source.purge(searching("a", "c"), 9.0, None)
    source.file.changed()
    assert messages(source) == ["b"]
    assert source.file.changed()
    assert (source.recount(), source.unread) == ((0, 1), 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_whatever_order_each_is_found_once_and_read_once(source, other, seed):
    random, numbers = Random(seed), iter(range(10_000))
    known, read, put = 2, list[str](), {"a", "b"}  # *known*: what the ledger holds for unread

    def found(count: int) -> None:
        nonlocal known
        known += count

    def message() -> str:
        put.add(name := f"<{next(numbers)}>")
        return name

    def others_put() -> None:
        for _ in range(random.randint(1, 3)):
            other.dead_letter([], DeadLetter(0, 1.0, message(), 2.0, "400"))
        other.retry(3.0)

    def others_remove() -> None:
        waiting = other.read(0, 100)
        other.remove([row.seq for row in random.sample(waiting, min(2, len(waiting)))])

    def write() -> None:
        new = [(1.0, message()) for _ in range(random.randint(1, 3))]
        source.write(new, found)
        found(len(new))

    def take() -> None:
        rows = source.read(random.randint(1, 4))
        read.extend(row.message for row in rows)
        found(-len(rows))

    def recount() -> None:
        new, missing = source.recount()
        found(new - missing)

    def purge() -> None:
        found(-source.purge(searching(f"{random.randrange(10)}>"), 9.0, None))

    for step in random.choices([others_put, others_remove, write, take, recount, purge], k=300):
        step()
        assert 0 <= source.unread == known, step
    while source.file.changed() or source.unread:
        recount()
        take()
    assert known == source.unread == 0
    assert len(set(read)) == len(read)
    assert put >= set(read) >= {row.message for row in other.read(0, 10_000)}
