"""Job systems in one process: decorator order, what is instrumented, and jobs that run where they are sent."""

from __future__ import annotations

import asyncio
import sys
import types

import pytest

import journy_track
from journy_track import Context, InvalidArgument, UserIdentified, testing, track_event
from journy_track._capture import routes
from journy_track._capture.carrier import HEADER
from journy_track._model import frameworks


@pytest.fixture
def events():
    with testing.capture() as captured:
        yield captured


def work(number: int = 0) -> None:
    """A job's function, at module level."""


async def awork(number: int = 0) -> None:
    """The same for asyncio."""


# ── The order ──


def an_actor():
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.stub import StubBroker

    return dramatiq.actor(work, broker=StubBroker())


def a_huey_task():
    huey = pytest.importorskip("huey")
    return huey.MemoryHuey(immediate=True).task()(work)


def an_arq_function():
    pytest.importorskip("arq")
    from arq.worker import func

    return func(awork)


def an_arq_cron_job():
    pytest.importorskip("arq")
    from arq.cron import cron

    return cron(awork)


def a_taskiq_task():
    taskiq = pytest.importorskip("taskiq")
    return taskiq.InMemoryBroker().task(awork)


def a_django_task():
    base = pytest.importorskip("django_tasks.base")
    task = object.__new__(base.Task)  # without a site's settings
    object.__setattr__(task, "func", work)
    return task


REGISTERED = {
    an_actor: "a Dramatiq actor",
    a_huey_task: "a Huey task",
    an_arq_function: "an arq function",
    an_arq_cron_job: "an arq cron job",
    a_taskiq_task: "a Taskiq task",
    a_django_task: "a Django task",
}


@pytest.mark.parametrize("registered", REGISTERED, ids=lambda made: made.__name__)
def test_a_decorator_above_the_one_that_registers_a_job_is_refused(registered):
    with pytest.raises(InvalidArgument, match=REGISTERED[registered]):
        track_event("worked")(registered())


def test_a_decorator_above_scheduled_job_is_warned_of(tmp_path, caplog):
    pytest.importorskip("apscheduler")
    import runpy

    kept = routes.hints[:]
    (tmp_path / "shop.py").write_text("""
from apscheduler.schedulers.background import BackgroundScheduler
from journy_track import track_event
scheduler = BackgroundScheduler()
@scheduler.scheduled_job("interval", seconds=60)
@track_event
def right_order(): ...
@track_event
@scheduler.scheduled_job("interval", seconds=60)
def wrong_order(): ...
""")
    runpy.run_path(str(tmp_path / "shop.py"))
    routes.hints[:] = kept
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "above the decorator that registered wrong_order" in warnings[0]
    assert "(such as @scheduler.scheduled_job)" in warnings[0]


# ── Interruptions ──


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dramatiq.errors", "Retry"),
        ("dramatiq.errors", "RateLimitExceeded"),
        ("huey.exceptions", "RetryTask"),
        ("huey.exceptions", "CancelExecution"),
        ("huey.exceptions", "TaskLockedException"),
        ("arq.worker", "Retry"),
        ("arq.worker", "RetryJob"),
        ("taskiq.exceptions", "NoResultError"),
        ("taskiq.exceptions", "TaskRejectedError"),
    ],
)
@pytest.mark.parametrize(("on", "expected"), [("error", 0), ("always", 1)])
def test_what_asks_for_another_run_is_an_interruption_and_not_an_error(events, module, name, on, expected):
    error = getattr(pytest.importorskip(module), name)

    @track_event("worked", on=on, user="u1")
    def interrupted() -> None:
        raise error.__new__(error)

    with pytest.raises(error):
        interrupted()
    assert len(events) == expected


def test_a_failure_of_a_job_is_an_error(events):
    pytest.importorskip("dramatiq")

    @track_event("worked", on="error", user="u1")
    def failed() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        failed()
    assert events[0].metadata == {"error_type": "LookupError"}


# ── What is instrumented ──


@pytest.mark.parametrize("system", ["dramatiq", "huey", "apscheduler", "taskiq"])
def test_anything_else_than_it_takes_is_refused(system):
    pytest.importorskip(system)
    module = __import__(f"journy_track.integrations.{system}", fromlist=["x"])
    with pytest.raises(InvalidArgument, match=f"instrument_{system}\\(\\) takes"):
        getattr(module, f"instrument_{system}")("app")


def test_a_dramatiq_broker_is_instrumented_once_and_outermost(events):
    dramatiq = pytest.importorskip("dramatiq")
    from dramatiq.brokers.stub import StubBroker

    from journy_track.integrations.dramatiq import JournyMiddleware, instrument_dramatiq

    broker = StubBroker()
    assert instrument_dramatiq(instrument_dramatiq(broker)) is broker
    assert [type(one) for one in broker.middleware].index(JournyMiddleware) == 0
    assert sum(isinstance(one, JournyMiddleware) for one in broker.middleware) == 1

    @dramatiq.actor(broker=broker)
    @track_event("worked")
    def first(number: int) -> None: ...

    @dramatiq.actor(broker=broker)
    @track_event("followed")
    def second() -> None: ...

    worker = dramatiq.Worker(broker, worker_timeout=20)
    worker.start()
    try:
        with journy_track.user("u1"), journy_track.metadata(n=1):
            both = [first.message(1), second.message_with_options(pipe_ignore=True)]
            dramatiq.pipeline(both, broker=broker).run()
        broker.join("default", timeout=10_000)
        worker.join()
    finally:
        worker.stop()
    assert sorted((event.name, event.user.user_id) for event in events) == [("followed", "u1"), ("worked", "u1")]


@pytest.fixture
def huey():
    package = pytest.importorskip("huey")
    from journy_track.integrations.huey import instrument_huey

    made = package.MemoryHuey()
    assert instrument_huey(instrument_huey(made)) is made
    return made


def run_all(huey) -> None:
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def test_a_huey_task_sees_no_argument_that_it_was_not_given(huey, events):
    seen = []

    @huey.task()
    def keeps(*args, **kwargs) -> None:
        seen.append((args, kwargs))

    with journy_track.user("u1"):
        keeps(1, two=2)
    huey.pre_execute()(lambda task: seen.append(dict(task.kwargs)))
    run_all(huey)
    assert seen == [{"two": 2}, ((1,), {"two": 2})]


def test_huey_carries_it_through_pipelines_retries_and_error_handlers(huey, events):
    @huey.task(retries=1)
    @track_event("worked", on="always", capture=("number",))
    def step(number, before=None):
        if number == 13:
            raise LookupError
        return number

    @huey.task()
    @track_event("recovered")
    def recover(error): ...

    with journy_track.user("u1"):
        huey.enqueue(step.s(1).then(step, 2))
        huey.enqueue(step.s(13).error(recover.s()))
    with journy_track.user("u2"):  # the user of the consumer
        run_all(huey)
    assert {event.user for event in events} == {UserIdentified("u1")}
    assert sorted(event.metadata["number"] for event in events if event.name == "worked") == [1, 2, 13, 13]
    assert "recovered" in [event.name for event in events]  # once, or once per failure, depending on Huey's version


def test_a_huey_task_in_immediate_mode_keeps_its_callers_context_and_its_own_to_itself(huey, events):
    huey.immediate = True

    @huey.task()
    @track_event("worked")
    def inner() -> None:
        journy_track.add_metadata(inner=True)

    with journy_track.scope(), journy_track.user(email="jane@acme.com"):
        inner()
        journy_track.track("went_on")
    worked, went_on = events
    assert (worked.user, worked.metadata) == (UserIdentified(email="jane@acme.com"), {"inner": True})
    assert (went_on.user, went_on.metadata) == (UserIdentified(email="jane@acme.com"), {})


def test_a_job_of_apscheduler_survives_its_store_and_shows_its_own_arguments(events):
    pytest.importorskip("apscheduler")
    import pickle

    from apscheduler.schedulers.background import BackgroundScheduler

    from journy_track.integrations.apscheduler import instrument_apscheduler, run_job

    scheduler = BackgroundScheduler()
    assert instrument_apscheduler(instrument_apscheduler(scheduler)) is scheduler
    with journy_track.user("u1"):
        theirs = scheduler.add_job(works, "interval", minutes=1, kwargs={"number": 2}, jobstore="default")
    nobodys = scheduler.add_job(works, "interval", minutes=1, kwargs={"number": 3})
    with journy_track.user("whoever starts it"):
        scheduler.start(paused=True)
    try:
        for job in (theirs, nobodys):
            restored = pickle.loads(pickle.dumps(job))
            assert restored.kwargs == job.kwargs
            run_job(restored, "default", [job.next_run_time], "apscheduler")
    finally:
        scheduler.shutdown()
    assert [(event.user and event.user.user_id, event.metadata["number"]) for event in events] == [
        ("u1", 2),
        (None, 3),
    ]


@track_event("worked", account="ours", capture=("number",))
def works(number: int) -> None:
    """A job of APScheduler."""


def test_taskiq_in_memory_keeps_each_senders_identity(events):
    taskiq = pytest.importorskip("taskiq")
    from journy_track.integrations.taskiq import JournyMiddleware, instrument_taskiq

    broker = taskiq.InMemoryBroker()
    assert instrument_taskiq(instrument_taskiq(broker)) is broker
    assert sum(isinstance(one, JournyMiddleware) for one in broker.middlewares) == 1

    @broker.task
    @track_event("worked", account="ours")
    async def task() -> None: ...

    @broker.task
    @track_event("worked", account="ours")
    def in_a_thread() -> None: ...

    async def main() -> None:
        for kind in (task, in_a_thread):
            with journy_track.user("u1"):
                theirs = await kind.kiq()
                assert journy_track.current_context() == Context(UserIdentified("u1"))
            await theirs.wait_result(timeout=10)
            nobodys = await kind.kiq()
            await nobodys.wait_result(timeout=10)

    asyncio.run(main())
    assert [event.user for event in events] == [UserIdentified("u1"), None] * 2


# ── RQ's work horses ──


def test_rq_jobs_do_not_share_the_meta_that_they_are_given(monkeypatch):
    pytest.importorskip("rq")
    from rq.job import Job

    from journy_track.integrations.rq import instrument_rq

    instrument_rq()
    instrument_rq()
    meta = {"theirs": 1}
    jobs = []
    for user in ("u1", "u2"):
        with journy_track.user(user):
            jobs.append(Job.create(work, meta=meta, connection=object()))
    jobs.append(Job.create(work, meta=jobs[0].meta, connection=object()))
    assert meta == {"theirs": 1}
    users = []
    for job in jobs:
        with journy_track.extract(job.meta) as context:
            users.append(context.user.user_id)
    assert users == ["u1", "u2", "u1"]
    assert Job.create(work, connection=object()).meta == {}
    assert jobs[0].func is work  # outside a run, the function is unwrapped


def test_a_process_that_runs_one_job_of_rq_ends_abruptly(monkeypatch):
    monkeypatch.setitem(sys.modules, "rq", sys.modules.get("rq", types.ModuleType("rq")))
    monkeypatch.delenv("RQ_JOB_ID", raising=False)
    assert not frameworks.ends_abruptly()
    monkeypatch.setenv("RQ_JOB_ID", "a-job")
    assert frameworks.ends_abruptly()


def test_the_header_is_in_no_message_of_nobody():
    from journy_track.integrations._jobs import carry

    carrier: dict[str, str] = {}
    carry(carrier, email=False)
    assert HEADER not in carrier
