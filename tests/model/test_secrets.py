"""The API key is in the header, and nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback

import pytest

import journy_track
from journy_track import Client, ClientConfig, ConfigurationError, HttpRequest, Tracker
from journy_track._model.config import Config
from journy_track._model.secret import Secret

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def holders(api):
    """Return every object of ours that holds the key."""
    tracker = journy_track.configure(KEY, base_url=api.url)
    config = ClientConfig(KEY, base_url=api.url)
    with Client(None, config) as client:
        yield [Secret(KEY), tracker, tracker.config, config, client, client.config]


def test_no_text_form_shows_it(holders):
    for holder in holders:
        shown = [repr(holder), str(holder), f"{holder}", f"{holder!a}", format(holder), pprint.pformat(holder)]
        assert not [text for text in shown if KEY in text]
        assert KEY not in repr([holder, {"holder": holder}, (holder,)])


def test_no_dict_form_shows_it(holders):
    for holder in holders:
        if dataclasses.is_dataclass(holder):
            assert KEY not in repr(dataclasses.asdict(holder))
            assert KEY not in repr(dataclasses.astuple(holder))
            assert KEY not in json.dumps(dataclasses.asdict(holder), default=repr)
        assert KEY not in repr(getattr(holder, "__dict__", {}))
        assert KEY not in repr([getattr(holder, name, None) for name in getattr(holder, "__slots__", ())])


def test_no_pickle_holds_it(holders):
    for holder in holders:
        with pytest.raises((TypeError, pickle.PicklingError)) as caught:
            pickle.dumps(holder)
        assert KEY not in str(caught.value)


def test_a_copy_of_a_configuration_keeps_it(holders):
    for holder in holders:
        if isinstance(holder, (Secret, Config, ClientConfig)):
            assert copy.copy(holder) == copy.deepcopy(holder) == holder


def test_a_changed_configuration_keeps_it(api):
    config = dataclasses.replace(ClientConfig(KEY), base_url=api.url, timeout=3)
    assert config == ClientConfig(KEY, base_url=api.url, timeout=3)
    with Client(None, config) as client:
        assert client.get_api_key_details().success
    assert api.requests[0].key == "…6789"


def test_configurations_of_two_keys_are_two():
    assert ClientConfig(KEY) == ClientConfig(KEY)
    assert ClientConfig(KEY) != ClientConfig(KEY + "0")
    assert Config.load(KEY, environ={}) != Config.load(KEY + "0", environ={})


def test_a_request_shows_neither_headers_nor_body():
    request = HttpRequest("POST", "https://api.journy.io/track", {"X-Api-Key": KEY}, b"jane@acme.com", 10.0)
    for text in (repr(request), str(request), f"{request}"):
        assert KEY not in text
        assert "jane" not in text


@pytest.mark.parametrize("spoiled", [KEY + "\nx", KEY + " x", "\t" + KEY, KEY + "é", "\ud800" + KEY, KEY + "\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(monkeypatch, spoiled):
    def messages():
        yield lambda: Tracker(spoiled)
        yield lambda: ClientConfig(spoiled)
        yield lambda: Config.load(None, environ={"JOURNY_API_KEY": spoiled})

    for make in messages():
        with pytest.raises(ConfigurationError, match=r"api_key.*must be printable ASCII without spaces") as caught:
            make()
        assert KEY not in "".join(traceback.format_exception(caught.value))


def test_no_log_line_shows_it(api, caplog):
    caplog.set_level(logging.DEBUG)
    tracker = journy_track.configure(KEY, base_url=api.url, debug=True)
    api.answer_next(status=401)
    api.answer_next(drop=True)
    for name in ("one", "two", "three"):
        journy_track.track(name, user="u1")
    assert tracker.flush(timeout=10)
    assert api.requests
    assert KEY not in caplog.text
    assert KEY not in repr([journy_track.recent(), journy_track.stats()])


def test_a_failed_call_holds_it_neither_in_the_result_nor_in_its_locals():
    with Client(None, ClientConfig(KEY, base_url="http://127.0.0.1:9", timeout=0.5)) as client:
        result = client.get_api_key_details()
    assert not result.success
    assert KEY not in repr(result)
