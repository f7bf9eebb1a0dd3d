"""A log record that names an event becomes that event."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import journy_track
from journy_track.integrations.logging import JournyHandler


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop")
    handler = JournyHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)


def test_a_record_that_names_an_event_becomes_one(kept, log):
    with journy_track.user("u1"), journy_track.account("acme"):
        log.info("hello %s", "Jane", extra={"journy_event": "signed_in", "journy_metadata": {"method": "sso"}})
    [event] = kept()
    assert (event.name, event.user.user_id, event.account.account_id) == ("signed_in", "u1", "acme")
    assert event.metadata == {"method": "sso"}


def test_other_records_and_other_attributes_stay_where_they_are(kept, log):
    log.info("hello", extra={"plan": "pro"})
    log.info("hello", extra={"journy_event": "signed_in", "journy_user": "u1", "plan": "pro"})
    [event] = kept()
    assert event.metadata == {}


def test_user_and_account_may_be_given(kept, log):
    with journy_track.user("u1"):
        log.info("", extra={"journy_event": "reached_limit", "journy_user": None, "journy_account": "acme"})
    assert kept.who() == {"reached_limit": (None, "acme")}


def test_the_time_is_the_records(kept, log):
    record = log.makeRecord("shop", logging.INFO, "", 1, "", (), None, extra={"journy_event": "signed_in"})
    record.created = 1_600_000_000.5
    with journy_track.user("u1"):
        log.handle(record)
    assert kept()[0].triggered_at == datetime.fromtimestamp(1_600_000_000.5, UTC)


def test_the_level_is_the_least_that_counts(kept):
    handler = JournyHandler(level=logging.WARNING)
    logger = logging.getLogger("shop.orders")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    for level in (logging.INFO, logging.ERROR):
        logger.log(level, "", extra={"journy_event": f"at_{level}", "journy_user": "u1"})
    logger.removeHandler(handler)
    assert list(kept.who()) == ["at_40"]


@pytest.mark.parametrize("name", ["journy_track", "journy_track.worker", "urllib3.connectionpool", "requests"])
def test_what_delivery_logs_never_becomes_an_event(kept, name):
    handler = JournyHandler()
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.warning("", extra={"journy_event": "looped", "journy_user": "u1"})
    logger.removeHandler(handler)
    assert kept() == []


WRONG = [{"journy_event": ""}, {"journy_event": 5}, {"journy_event": "e", "journy_metadata": "plan"}]


@pytest.mark.parametrize("extra", WRONG)
def test_wrong_extras_are_loggings_own_errors(kept, log, capsys, extra):
    log.info("hello", extra=extra)
    assert "Logging error" in capsys.readouterr().err
    assert kept() == []


@pytest.mark.parametrize("extra", WRONG)
def test_wrong_extras_are_counted_also_where_logging_says_nothing(tracker, log, capsys, monkeypatch, extra):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("hello", extra=extra)
    assert capsys.readouterr().err == ""
    assert (tracker.stats().captured, tracker.stats().dropped) == (1, {"invalid": 1})


def test_it_can_be_named_in_a_dict_config(kept):
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"journy": {"class": "journy_track.integrations.logging.JournyHandler"}},
            "loggers": {"shop.dict": {"handlers": ["journy"], "level": "INFO"}},
        }
    )
    logging.getLogger("shop.dict").info("", extra={"journy_event": "signed_in", "journy_user": "u1"})
    logging.getLogger("shop.dict").handlers.clear()
    assert kept.who() == {"signed_in": ("u1", None)}


def test_behind_a_queue_the_given_user_counts(kept):
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    listener = logging.handlers.QueueListener(records, JournyHandler())
    logger = logging.getLogger("shop.queued")
    handler = logging.handlers.QueueHandler(records)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    listener.start()
    with journy_track.user("not u1"):
        logger.info("", extra={"journy_event": "signed_in", "journy_user": "u1"})
    listener.stop()
    logger.removeHandler(handler)
    assert kept.who() == {"signed_in": ("u1", None)}
