"""The page about the write key: its links, settings and blocks, and its table for readers who switch from Segment."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime

import pytest
from batch_messages import comparable

import journy_track
from journy_track._model.config import Config
from journy_track._transport import batch
from journy_track.inspector import Inspector

from .reading import blocks, code_spans, page, section

TEXT = page("guides/write-key")
MOMENT = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)
CALLS = [row for row in section(TEXT, "Coming from Segment's SDK").rows if row[0].startswith("`analytics.")]
EXCHANGED = [row for row in CALLS if "flush" not in row[0]]
#: The README's first lines; each block continues from them.
GIVEN = {"journy_track": journy_track}


def test_each_setting_has_its_variable_and_its_default():
    settings = {field.name: field for field in dataclasses.fields(Config)}
    rows = section(TEXT, "Settings").rows
    assert [code_spans(row[0]) for row in rows] == [["write_key"], ["batch_url"], ["batch_interval"], ["api_key"]]
    for name, variable, default, _ in rows:
        setting = settings[name.strip("`")]
        assert code_spans(variable) == [setting.metadata["env"]]
        assert default.strip("`") in {
            "none" if setting.default is None else f"{setting.default}",
            f"{setting.default} s",
        }


def test_the_limits_are_those_that_hold():
    assert f"{batch.MAX_MESSAGES:,}".replace(",", " ") in TEXT
    assert f"{batch.MAX_BYTES // 1000} KB" in TEXT
    assert f"{batch.MAX_MESSAGE // 1024} KiB" in TEXT
    assert f"above {batch.GZIP_FROM // 1024} KiB" in TEXT


@pytest.mark.parametrize("row", EXCHANGED, ids=lambda row: row[0])
def test_a_call_of_segments_sdk_is_the_same_message_here(api: Inspector, row: list[str]):
    analytics = pytest.importorskip("segment.analytics", reason="segment-analytics-python is not installed")
    [their_call], [our_call] = map(code_spans, row)
    client = analytics.Client("a-write-key", host=api.url, sync_mode=True)
    eval(their_call, {"analytics": client, "moment": MOMENT})
    journy_track.configure(write_key="a-write-key", base_url=api.url)
    eval(our_call, {**GIVEN, "moment": MOMENT})
    assert journy_track.flush(timeout=20)
    theirs, ours = api.messages
    assert (theirs.outcome, ours.outcome) == ("accepted", "accepted")
    assert comparable(theirs.json, [MOMENT]) == comparable(ours.json, [MOMENT])


def test_each_option_named_here_is_one_of_ours():
    [_, *_] = rows = [row for row in section(TEXT, "Coming from Segment's SDK").rows if row not in CALLS]
    names = {re.split(r"[=(]", span)[0] for row in rows for span in code_spans(row[1])}
    settings = {field.name for field in dataclasses.fields(Config)}
    assert {"write_key", "batch_url", "batch_interval", "max_age"} <= names
    assert names <= settings | {"flush", "spool"}


@pytest.mark.parametrize(
    "block", [block for block in blocks(TEXT) if block.language == "python"], ids=lambda block: block.label
)
def test_a_block_runs_as_it_stands(api: Inspector, monkeypatch: pytest.MonkeyPatch, block):
    monkeypatch.setenv("JOURNY_BASE_URL", api.url)
    monkeypatch.setenv("JOURNY_WRITE_KEY", "a-write-key")
    exec(compile(block.source, "write-key.md", "exec"), dict(GIVEN))
    if "Inspector" not in block.source:
        assert journy_track.flush(timeout=20)
        assert [message.type for message in api.messages] == ["track"]
