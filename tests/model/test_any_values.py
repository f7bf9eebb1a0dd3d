"""Whatever is passed as metadata or properties, the request is valid, and only invalid values are missing from it."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import journy_track
from journy_track import Client, ClientConfig, Event, UserIdentified
from journy_track._delivery.preparing import Preparer
from journy_track._model.captured import Captured
from journy_track._model.config import Config
from journy_track._model.items import UpsertUser
from journy_track._model.notices import Notices
from journy_track._model.values import frozen_mapping

from ..api_description import BODIES, check, check_request, strictly_parsed
from . import samples

pytestmark = pytest.mark.slow

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # including surrogates
ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5)), samples.OwnZone()])
GOOD = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=ZONES),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.fractions(-1000, 1000),
    TEXTS.map(samples.Text),
    TEXTS.map(samples.LazyText),
    st.sampled_from([samples.Plan.PRO, samples.NumpyBool(), samples.Whole(3), samples.Part(0.5)]),
)
BAD = st.one_of(
    st.binary(max_size=5),
    st.just(float("nan")),
    st.just(float("-inf")),
    st.complex_numbers(),
    st.timedeltas(),
    st.integers(10**400, 10**401),
    st.decimals(allow_nan=True, allow_infinity=True).filter(lambda number: not number.is_finite()),
    st.dictionaries(TEXTS, st.none(), max_size=2),
    st.builds(object),
    st.builds(samples.Broken),
    st.just(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
)
ANYTHING = st.recursive(GOOD | BAD | st.none(), lambda inner: st.lists(inner, max_size=3) | st.tuples(inner))
KEYS = st.one_of(
    TEXTS, st.integers(), st.none(), st.binary(max_size=3), st.uuids(), st.sampled_from(enum.Enum("K", "A"))
)
ANY_MAPPING = st.dictionaries(KEYS, ANYTHING, max_size=6)

ONE_BY_ONE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def prepared(kind, values):
    """Return the item that the worker makes of *values*, and its body as a strict JSON parser reads it."""
    user = UserIdentified("u1")
    captured = Captured(
        kind, 0.0, "signed_in", user, None, frozen_mapping(values), None, {}, {}, None, None, None, 0.0, 0
    )
    item = Preparer(Config.load("key", environ={}), Notices()).prepare(captured)
    return item, strictly_parsed(json.dumps(item.body(), ensure_ascii=False, allow_nan=False).encode())


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_MAPPING)
def test_any_item_is_one_that_the_api_takes(values):
    for kind in (Event, UpsertUser):
        item, body = prepared(kind, values)
        check(body, BODIES["POST", item.path])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    good=st.dictionaries(st.text("abcdef", min_size=1), GOOD, max_size=4), bad=st.dictionaries(KEYS, BAD, max_size=4)
)
def test_a_bad_value_costs_its_own_key_and_no_other(good, bad):
    bad = {key: value for key, value in bad.items() if key not in good}
    assert prepared(Event, {**bad, **good})[1].get("metadata", {}).keys() == good.keys()
    assert prepared(UpsertUser, {**bad, **good})[1].get("properties", {}).keys() == good.keys()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_MAPPING)
def test_what_was_converted_converts_to_itself(values):
    for kind in (Event, UpsertUser):
        item, _ = prepared(kind, values)
        assert item.converted() == (item, [])
        assert hash(item) == hash(item.converted()[0])


@ONE_BY_ONE
@given(ANY_MAPPING)
def test_whatever_is_tracked_arrives(tracker, api, values):
    api.reset()
    journy_track.track("signed_in", values, user="u1")
    journy_track.upsert_user(values, user="u1")
    assert tracker.flush(timeout=10)
    assert [(received.path, received.status) for received in api.requests] == [
        ("/track", 201),
        ("/users/upsert", 201),
    ]
    for received in api.requests:
        check_request(received)


@ONE_BY_ONE
@given(ANY_MAPPING)
def test_whatever_a_client_sends_arrives(api, values):
    api.reset()
    with Client(None, ClientConfig("key", base_url=api.url)) as client:
        assert client.add_event(Event.for_user("signed_in", UserIdentified("u1")).with_metadata(values)).success
        assert client.upsert_user(user_id="u1", properties=values).success
    for received in api.requests:
        check_request(received)
