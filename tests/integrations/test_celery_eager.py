"""Celery tasks that run in the sending process: headers, scopes, interruptions."""

from __future__ import annotations

import pytest

import journy_track
from journy_track import AccountIdentified, Context, InvalidArgument, UserIdentified, testing, track_event

pytest.importorskip("celery", reason="runs Celery tasks")

from celery import Celery
from celery.exceptions import Ignore, Reject

from journy_track._capture.carrier import MAX_SIZE
from journy_track.integrations.celery import FORMER, HEADER, instrument_celery


@pytest.fixture
def events():
    with testing.capture() as captured:
        yield captured


@pytest.fixture
def app():
    """Return an app with an in-memory broker."""
    made = Celery("test", broker="memory://", set_as_current=False)
    made.conf.update(task_store_eager_result=False, result_backend=None)
    return instrument_celery(made)


@pytest.fixture
def sent(app):
    """Return the headers that a task was sent with."""
    from celery import signals

    seen = []
    receiver = lambda headers=None, **_: seen.append(headers)  # noqa: E731
    signals.after_task_publish.connect(receiver, weak=False)

    @app.task(name="work")
    def work() -> None: ...

    def send(**options):
        work.apply_async(**options)
        return seen[-1]

    yield send
    signals.after_task_publish.disconnect(receiver)


def test_user_account_and_metadata_travel_in_both_places_of_the_headers(sent):
    with (
        journy_track.user("u1", email="jane@acme.com"),
        journy_track.account("acme"),
        journy_track.metadata(channel="web"),
    ):
        headers = sent(headers={"theirs": 1})
    with journy_track.extract(headers) as context:
        assert context == Context(UserIdentified("u1"), AccountIdentified("acme"), {"channel": "web"})
    assert headers["headers"][HEADER] == headers[HEADER]
    assert headers["theirs"] == 1


@pytest.mark.parametrize("name", [HEADER, FORMER])
@pytest.mark.parametrize("wrap", [lambda headers: headers, lambda headers: {"headers": headers}])
def test_what_a_header_holds_already_is_kept(sent, name, wrap):
    with journy_track.user("u1"):
        headers = sent(headers=wrap({name: "who sent it first"}))
    assert headers[name] == headers["headers"][name] == "who sent it first"
    assert len({HEADER, FORMER} & {*headers, *headers["headers"]}) == 1


def test_the_email_address_is_sent_only_where_it_was_asked_for(app, sent):
    instrument_celery(app, email=True)
    with journy_track.user(email="jane@acme.com"):
        headers = sent()
    instrument_celery(app)
    with journy_track.extract(headers) as context:
        assert context.user == UserIdentified(email="jane@acme.com")


def test_without_a_context_nothing_travels(sent):
    assert HEADER not in sent()


def test_too_much_metadata_stays_behind_and_is_said(sent, caplog):
    with journy_track.user("u1"), journy_track.metadata(long="x" * MAX_SIZE):
        headers = sent()
    with journy_track.extract(headers) as context:
        assert context == Context(UserIdentified("u1"))
    assert "is not passed on" in caplog.text


def test_an_eager_task_keeps_its_callers_context_and_its_own_to_itself(app, events):
    @app.task
    @track_event("worked")
    def work() -> None:
        journy_track.add_metadata(inner=True)

    with journy_track.scope(), journy_track.user("u1"):
        work.apply()
        journy_track.track("went_on")
    worked, went_on = events
    assert (worked.user.user_id, worked.metadata) == ("u1", {"inner": True})
    assert (went_on.user.user_id, went_on.metadata) == ("u1", {})


@pytest.mark.parametrize("interruption", [Ignore, Reject])
@pytest.mark.parametrize(("on", "expected"), [("success", 0), ("error", 0), ("always", 1)])
def test_ignore_and_reject_are_interruptions(app, events, interruption, on, expected):
    @app.task
    @track_event("worked", on=on, user="u1")
    def work() -> None:
        raise interruption

    work.apply()
    assert len(events) == expected


@pytest.mark.parametrize(
    ("on", "expected"),
    [("success", ["None"]), ("error", []), ("always", ["None", "Retry"])],
    ids=str,
)
def test_a_retry_is_an_interruption_of_its_first_run(app, events, on, expected):
    @app.task(bind=True, max_retries=5)
    @track_event("worked", on=on, user="u1")
    def work(self) -> None:
        if self.request.retries == 0:
            raise self.retry(countdown=0)  # runs the retry here, eagerly

    work.apply()
    assert sorted(str(event.metadata.get("error_type")) for event in events) == expected


def test_a_failure_is_an_error(app, events):
    @app.task
    @track_event("worked", on="error", user="u1")
    def work() -> None:
        raise LookupError

    work.apply()
    assert events[0].metadata == {"error_type": "LookupError"}


def test_twice_is_once_and_anything_else_is_refused(app):
    from celery import signals

    before = len(signals.task_prerun.receivers)
    assert instrument_celery(app) is app
    assert len(signals.task_prerun.receivers) == before
    with pytest.raises(InvalidArgument, match="takes a Celery app"):
        instrument_celery("app")


def ran_with(app, **headers) -> Context:
    """Return the context of a task when a worker receives these headers."""
    seen = []

    @app.task(bind=True)
    def work(self) -> None:
        seen.append(journy_track.current_context())

    from celery.app.trace import build_tracer

    trace = build_tracer(work.name, work, app=app)
    done = trace("an-id", (), {}, {"id": "an-id", **headers, "is_eager": False, "delivery_info": {}})
    assert done[1] is None, done
    return seen[0]


WAITING = (
    '{"v": 1, "user": {"userId": "u1", "email": "jane@acme.com"}, "account": {"accountId": "acme"}, '
    '"metadata": {"channel": "web"}}'
)


@pytest.mark.parametrize("nested", [True, False])
def test_a_task_that_an_earlier_version_sent_still_acts_for_its_sender(app, nested):
    context = ran_with(app, **({"headers": {FORMER: WAITING}} if nested else {FORMER: WAITING}))
    expected = UserIdentified("u1", "jane@acme.com"), AccountIdentified("acme"), {"channel": "web"}
    assert context == Context(*expected)


HEADERS = ["{", "[]", '{"user": "u1"}', '{"account": {"domain": 3}}', '{"user": {}}', "[" * 100_000]


@pytest.mark.parametrize("name", [HEADER, FORMER])
@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:30])
def test_a_header_that_cannot_be_read_leaves_the_task_without_a_context(app, events, name, header, caplog):
    assert ran_with(app, **{name: header}) == Context()
    assert (name, header) == (FORMER, '{"user": {}}') or "could not be read" in caplog.text
