"""The page about many machines: its links, commands and names exist, and its limits are the actual ones."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

from journy_track import Stats
from journy_track._delivery.ways import MAX_BATCHES
from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track._relay.relay import WINDOW, Status
from journy_track._stores.redis.broker import MAX_WAITING
from journy_track._transport.batch import BatchTransport

from .reading import ROOT, blocks, code_spans, page, section
from .test_commands import parse, words

TEXT = page("guides/many-machines")
COMMANDS = [
    line.removeprefix("$ ")
    for block in blocks(TEXT)
    if block.language == "console"
    for line in block.source.splitlines()
]


def test_the_limits_are_those_that_hold():
    prose = " ".join(TEXT.split())
    assert f"The queue takes {MAX_WAITING:,} items".replace(",", " ") in prose
    batches = BatchTransport(Secret("a-write-key"), "http://127.0.0.1", 1.0)
    window = (MAX_BATCHES + 1) * batches.max_jobs
    assert f"some {round(window, -3):,} items".replace(",", " ") in prose
    assert f"or {WINDOW:,} with an API key alone".replace(",", " ") in prose


def test_each_name_of_a_number_is_one_of_ours():
    names = {field.name for kind in (Status, Stats, Config) for field in dataclasses.fields(kind)}
    spans = [
        span for row in section(TEXT, "Where the next limit is").rows for cell in row for span in code_spans(cell)
    ]
    named = {span.rstrip("=") for span in spans if re.fullmatch(r"[a-z]+_?[a-z]+=?", span)}
    assert named
    assert named - {"maxmemory"} <= names
    variables = set(re.findall(r"JOURNY_[A-Z_]+", TEXT))
    assert variables <= {field.metadata.get("env") for field in dataclasses.fields(Config)}


@pytest.mark.parametrize("line", [line for line in COMMANDS if "journy-track" in line])
def test_a_command_is_one_that_there_is(line: str):
    parse(words(line)[1:])


@pytest.mark.slow
def test_the_benchmark_takes_these_options():
    typed = [words(line) for line in COMMANDS if "benchmarks" in line]
    options = {word for line in typed for word in line if word.startswith("--")}
    (module,) = {line[2] for line in typed}
    command = [sys.executable, "-m", module, "--help"]
    usage = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert options
    assert all(option in usage for option in options)
