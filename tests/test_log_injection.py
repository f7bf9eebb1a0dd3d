"""External text is logged as one printable line, and values that may identify a person are not logged."""

from __future__ import annotations

import json
import logging

import pytest

import journy_track
from journy_track._delivery.reports import MAX_FIELDS
from journy_track._model.logs import log_or_print

HOSTILE = "x\nERROR root: forged \x1b[31mred\x1b[0m \x9b2J \u202e"
PERSON = "jane@acme.com"


class Unreadable:
    """A value whose own code raises, with a person's name in the error."""

    def __str__(self) -> str:
        raise ValueError(PERSON + HOSTILE)

    def isoformat(self) -> str:
        return str(self)


def lines(caplog) -> list[str]:
    formatter = logging.Formatter("%(levelname)s %(message)s")
    return [formatter.format(record) for record in caplog.records]


def hostile(*_: object) -> str:
    raise LookupError(PERSON + HOSTILE)


@pytest.mark.parametrize("option", ["metadata", "user", "account", "when"])
def test_the_text_of_what_a_callback_raises_is_not_logged(api, caplog, option):
    tracker = journy_track.configure("a-key", base_url=api.url, strict=False)
    journy_track.track_event("signed_in", **{"user": "u1", option: hostile})(lambda: None)()
    assert tracker.flush(5)
    (line,) = [line for line in lines(caplog) if "raised" in line]
    assert "LookupError at " in line
    assert f"{__file__}:" in line
    assert PERSON not in line
    assert line.isprintable()


def test_no_address_that_was_refused_as_an_id_is_logged(api, caplog):
    tracker = journy_track.configure("a-key", base_url=api.url, strict=False)
    journy_track.track_event("signed_in", user=lambda call: {"email": PERSON + " "})(lambda: None)()
    journy_track.track("signed_in", user={"email": PERSON + " x"})
    journy_track.upsert_user(user={"email": PERSON + "\n"})
    journy_track.link("d\n" + PERSON, user={"email": "no" + PERSON + "@"})
    assert tracker.flush(5)
    assert caplog.records
    assert not [line for line in lines(caplog) if PERSON in line or not line.isprintable()]


def test_what_a_server_answers_is_one_line_of_a_few_fields(api, tracker, caplog):
    fields = {f"{HOSTILE}{number}": HOSTILE for number in range(200)}
    api.answer_next(400, {"message": HOSTILE, "errors": {"fields": fields}, "meta": {"requestId": HOSTILE}})
    journy_track.track("signed_in", user="u1")
    assert tracker.flush(5)
    (line,) = [line for line in lines(caplog) if "was given up" in line]
    assert line.isprintable()
    assert line.count("forged") == 2 + 2 * MAX_FIELDS


def test_what_a_broker_answers_is_one_printable_line():
    redis = pytest.importorskip("redis", reason="needs redis-py")
    from journy_track._stores.redis.connection import _described

    assert _described(redis.ResponseError("\x1b[31mno\x9b2J\u202e")).isprintable()


def test_a_debug_line_holds_no_control_characters(caplog, capfd):
    log_or_print(json.dumps(HOSTILE, ensure_ascii=False))
    shown = "".join(lines(caplog)) + capfd.readouterr().err.rstrip("\n")
    assert "forged" in shown
    assert shown.isprintable()
