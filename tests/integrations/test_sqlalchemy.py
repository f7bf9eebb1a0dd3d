"""after_commit with SQLAlchemy's sessions."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import journy_track
from journy_track import InvalidArgument, testing, track_event

pytest.importorskip("sqlalchemy", reason="runs SQLAlchemy's sessions")
pytest.importorskip("aiosqlite", reason="runs SQLAlchemy's asynchronous sessions")

from sqlalchemy import create_engine, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from journy_track.integrations.sqlalchemy import instrument_sqlalchemy


class Base(DeclarativeBase):
    pass


class Plan(Base):
    __tablename__ = "plans"
    name: Mapped[str] = mapped_column(primary_key=True)
    seats: Mapped[int] = mapped_column(default=1)


@pytest.fixture
def engine():
    made = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def sessions(engine):
    return instrument_sqlalchemy(sessionmaker(engine))


@pytest.fixture
def events():
    with testing.capture() as captured:
        yield captured


@pytest.fixture
def names(events):
    return lambda: [event.name for event in events]


def test_a_sync_app_needs_no_greenlet(run_program):
    ran = run_program(
        """
        import importlib.abc, sys

        class NoGreenlet(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "greenlet":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, NoGreenlet())
        import journy_track
        from sqlalchemy import create_engine, text
        from sqlalchemy.orm import sessionmaker
        from journy_track.integrations.sqlalchemy import instrument_sqlalchemy

        sessions = instrument_sqlalchemy(sessionmaker(create_engine("sqlite://")))
        with journy_track.testing.capture() as events:
            with sessions.begin() as session:
                session.execute(text("SELECT 1"))
                journy_track.track("upgraded", user="u1", after_commit=True)
                assert not events
            events.assert_tracked("upgraded", user="u1")
        try:
            instrument_sqlalchemy(object())
        except journy_track.InvalidArgument:
            print("as with greenlet")
        """
    )
    assert (ran.status, ran.out) == (0, "as with greenlet\n"), ran.err


def track(name: str) -> None:
    journy_track.track(name, user="u1", after_commit=True)


def test_outside_a_session_at_once(sessions, names):
    track("opened")
    with sessions():
        track("opened_again")  # the session has not begun
    assert names() == ["opened", "opened_again"]


@pytest.mark.parametrize("begin", ["begin", "add", "execute"])
def test_when_it_commits_and_not_before(sessions, names, begin):
    with sessions() as session:
        if begin == "begin":
            session.begin()
        elif begin == "add":
            session.add(Plan(name="pro"))
        else:
            session.execute(text("select 1"))
        track("opened")
        assert names() == []
        session.commit()
        assert names() == ["opened"]
        track("outside")
        assert names() == ["opened", "outside"]


def test_never_when_it_rolls_back(sessions, names):
    with sessions() as session:
        session.add(Plan(name="pro"))
        track("undone")
        session.rollback()
        session.add(Plan(name="pro"))
        track("done")
        session.commit()
    with pytest.raises(LookupError), sessions.begin():
        track("undone")
        raise LookupError
    assert names() == ["done"]


def test_closing_without_a_commit_is_a_rollback(sessions, names):
    with sessions() as session:
        session.add(Plan(name="pro"))
        track("undone")
    session = sessions()
    session.execute(text("select 1"))
    track("undone")
    session.close()
    assert names() == []


def test_a_commit_that_fails_emits_nothing(sessions, names):
    with sessions.begin() as session:
        session.add(Plan(name="pro"))
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.execute(text("insert into plans values ('free', 1)"))
        session.add(Plan(name="pro"))
        track("undone")
    assert names() == []


def test_what_a_savepoint_rolls_back_is_gone_and_the_rest_goes_out_with_the_whole(sessions, names):
    with sessions.begin() as session:
        track("outer")
        with pytest.raises(LookupError), session.begin_nested():
            track("undone")
            raise LookupError
        with session.begin_nested():
            track("inner")
            with session.begin_nested():
                session.add(Plan(name="pro"))
                track("innermost")
        with pytest.raises(LookupError), session.begin_nested():
            with session.begin_nested():
                track("undone_with_the_outer")
            raise LookupError
        assert names() == []
    assert names() == ["outer", "inner", "innermost"]


def test_a_rollback_of_the_whole_takes_released_savepoints_along(sessions, names):
    with sessions() as session:
        with session.begin_nested():
            track("inner")
        session.rollback()
    assert names() == []


def test_what_is_tracked_in_a_flush_waits_for_the_commit(sessions, names):
    from sqlalchemy import event

    event.listen(sessions, "before_flush", lambda *_: track("flushing"))
    with sessions() as session:
        session.add(Plan(name="pro"))
        session.flush()
        assert names() == []
        session.rollback()
        assert names() == []
        session.add(Plan(name="pro"))
        session.commit()
    assert names() == ["flushing"]


def test_context_and_time_are_those_of_the_capture(sessions, events):
    with sessions.begin():
        with journy_track.user("u2"), journy_track.metadata(step=1):
            journy_track.track("opened", after_commit=True)
        journy_track.track("at_once", user="u3")
    at_once, opened = events
    assert (opened.user.user_id, opened.metadata) == ("u2", {"step": 1})
    assert opened.triggered_at < at_once.triggered_at


def test_decorated_functions_wait_too(sessions, names):
    @track_event("paid", user="u1", after_commit=True)
    def pay(session):
        session.add(Plan(name="pro"))

    with sessions() as session:
        pay(session)
        session.rollback()
        pay(session)
        session.commit()
    assert names() == ["paid"]


def test_with_several_sessions_the_one_that_writes_counts(sessions, names):
    with sessions() as writes, sessions() as reads:
        writes.add(Plan(name="pro"))
        reads.execute(select(Plan))
        track("opened")
        reads.close()
        assert names() == []
        writes.commit()
        assert names() == ["opened"]
        writes.execute(update(Plan).values(seats=2))
        reads.execute(select(Plan))
        track("changed")
        writes.commit()
        assert names() == ["opened", "changed"]


def test_a_session_of_a_request_is_found_in_its_other_threads(sessions, names):
    """FastAPI runs a sync dependency and the endpoint in this way: each in a copy of the request's context."""
    session = sessions()

    def dependency():
        session.scalars(select(Plan)).all()

    def endpoint():
        track("undone")

    with journy_track.scope():
        contextvars.copy_context().run(dependency)
        contextvars.copy_context().run(endpoint)
        session.close()
        contextvars.copy_context().run(endpoint)
    assert names() == ["undone"]


def test_another_threads_session_is_not_ours(sessions, names):
    with sessions.begin():
        thread = threading.Thread(target=track, args=("in_thread",))
        thread.start()
        thread.join()
        assert names() == ["in_thread"]


def test_another_sessionmaker_is_not_meant(sessions, engine, names):
    other = sessionmaker(engine)
    with other() as session:
        session.add(Plan(name="pro"))
        track("at_once")
        session.rollback()
    assert names() == ["at_once"]


def test_scoped_sessions_and_classes_and_single_sessions(engine, names):
    class Own(Session):
        pass

    instrument_sqlalchemy(Own)
    scoped = instrument_sqlalchemy(scoped_session(sessionmaker(engine)))
    for session in (Own(engine), scoped(), instrument_sqlalchemy(Session(engine))):
        session.begin()
        track("undone")
        session.rollback()
        session.begin()
        track("done")
        session.commit()
        session.close()
    assert names() == ["done"] * 3


def test_twice_is_once(engine, names):
    sessions = sessionmaker(engine)
    assert instrument_sqlalchemy(instrument_sqlalchemy(sessions)) is sessions
    with sessions.begin():
        track("opened")
    assert names() == ["opened"]


def test_anything_else_is_refused(engine):
    with pytest.raises(InvalidArgument, match="takes a sessionmaker"):
        instrument_sqlalchemy(engine)


@pytest.mark.parametrize("kind", ["sessionmaker", "scoped", "own class", "session"])
def test_asynchronous_sessions(names, kind):
    async def main() -> None:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        make = async_sessionmaker(engine)
        if kind == "sessionmaker":
            instrument_sqlalchemy(make)
        elif kind == "scoped":
            make = instrument_sqlalchemy(async_scoped_session(make, scopefunc=asyncio.current_task))
        elif kind == "own class":

            class Own(AsyncSession):
                sync_session_class = type("OwnSession", (Session,), {})

            make = instrument_sqlalchemy(async_sessionmaker(engine, class_=Own))
        session = make()
        if kind == "session":
            instrument_sqlalchemy(session)
        session.add(Plan(name="pro"))
        track("undone")
        await session.rollback()
        await session.execute(select(Plan))
        track("undone")
        await session.close()
        async with session.begin():
            session.add(Plan(name="pro"))
            await session.flush()
            track("done")
            with pytest.raises(LookupError):
                async with session.begin_nested():
                    track("undone")
                    raise LookupError
            assert names() == []
        assert names() == ["done"]
        await session.close()
        await engine.dispose()

    asyncio.run(main())


def test_concurrent_tasks_each_wait_for_their_own_session(tmp_path, events):
    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/database")
        sessions = instrument_sqlalchemy(async_sessionmaker(engine))

        async def work(number: int) -> None:
            async with sessions() as session:
                await session.execute(text("select 1"))
                with journy_track.user(f"u{number}"):
                    journy_track.track("worked", after_commit=True)
                await asyncio.sleep(0)
                await (session.commit() if number % 2 else session.rollback())

        with journy_track.scope():  # like one request that does several things concurrently
            await asyncio.gather(*(work(number) for number in range(20)))
        await engine.dispose()

    asyncio.run(main())
    assert sorted(event.user.user_id for event in events) == sorted(f"u{number}" for number in range(1, 20, 2))
