"""A Client call that fails returns a Failure and never raises."""

from __future__ import annotations

import signal
import socket
from functools import partial

import pytest

from journy_track import (
    APIError,
    Client,
    ClientConfig,
    Event,
    Failure,
    HttpResponse,
    MaybeSent,
    NotSent,
    UserIdentified,
)
from journy_track.inspector import Inspector

EVENT = Event.for_user("signed_in", UserIdentified("u1"))
HTML = "<html><body>Bad gateway</body></html>"


@pytest.fixture
def client(api):
    with Client(None, ClientConfig("key", base_url=api.url)) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, APIError.BadArgumentsError),
        (401, APIError.UnauthorizedError),
        (403, APIError.ForbiddenError),
        (404, APIError.NotFoundError),
        (422, APIError.UnprocessableError),
        (429, APIError.TooManyRequests),
        (500, APIError.ServerError),
        (418, APIError.UnknownError),
    ],
)
def test_a_status_has_the_official_name(api, client, status, error):
    api.answer_next(status=status, body={"message": "No.", "meta": {"requestId": "r1", "status": status}})
    result = client.add_event(EVENT)
    assert result == Failure(error, "No.", status=status, request_id="r1")
    assert result.success is False
    assert error == error.name


def test_a_bad_request_names_its_fields(api, client):
    body = {
        "message": "Some fields are wrong.",
        "errors": {"fields": {"name": "Too long."}, "parameters": {"query": {"domain": "Required."}, "header": {}}},
    }
    api.answer_next(status=400, body=body, headers={"X-RateLimit-Remaining": "7"})
    result = client.add_event(EVENT)
    assert result.fields == {"name": "Too long.", "query.domain": "Required."}
    assert (result.message, result.request_id, result.calls_remaining) == ("Some fields are wrong.", None, 7)


def test_a_real_refusal_carries_what_support_asks_for(api):
    with Client(None, ClientConfig("disabled", base_url=api.url)) as client:
        result = client.get_events()
    assert (result.error, result.status) == ("ForbiddenError", 403)
    assert result.request_id == api.requests[0].request_id
    assert result.calls_remaining is not None


def test_a_refused_connection(api):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        with Client(None, ClientConfig("key", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")) as client:
            result = client.add_event(EVENT)
    assert result == Failure(APIError.ConnectionFailed, "the connection was refused")


def test_a_name_that_does_not_resolve():
    with Client(None, ClientConfig("key", base_url="https://journy.invalid", timeout=5)) as client:
        assert client.add_event(EVENT).error in (APIError.ConnectionFailed, APIError.Timeout)


def test_no_response_in_time(api):
    api.answer_next(delay=30)
    with Client(None, ClientConfig("key", base_url=api.url, timeout=0.2)) as client:
        result = client.add_event(EVENT)
    assert result == Failure(APIError.Timeout, "no response in time")


def test_a_connection_that_is_cut(api, client):
    api.answer_next(drop=True)
    assert client.add_event(EVENT) == Failure(APIError.ConnectionFailed, "the connection broke")
    assert client.add_event(EVENT).success


def test_html_of_a_proxy_that_failed(api, client):
    api.answer_next(status=502, body=HTML)
    result = client.add_event(EVENT)
    assert (result.error, result.status, result.request_id) == (APIError.ServerError, 502, None)


def test_html_of_a_proxy_with_status_200_is_not_a_success(api, client):
    api.answer_next(status=200, body=HTML, count=2)
    for result in (client.add_event(EVENT), client.get_events()):
        assert (result.success, result.error, result.status) == (False, APIError.UnknownError, 200)
        assert result.message == "a proxy or another server responded with 200"
    assert api.events == []


def test_an_empty_response_without_rate_headers_is_a_success(api, client):
    api.answer_next(status=204)
    result = client.remove_users_from_account("a1", ["u1"])
    assert result.success
    assert (result.data, result.request_id, result.calls_remaining) == (None, None, None)


@pytest.mark.parametrize(
    "body", ["not JSON", "[]", "null", '"text"', '{"meta": 5}', '{"meta": {"requestId": 5}}', "{" * 5000, "{}"]
)
@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_without_a_request_id_is_somebody_elses(body, status):
    http = Custom(HttpResponse(status, {}, body.encode()))
    with Client(http, ClientConfig("key")) as client:
        for result in (client.upsert_user(user_id="u1"), client.get_events()):
            assert (result.success, result.error, result.status) == (False, APIError.UnknownError, status)
            assert result.message == f"a proxy or another server responded with {status}"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"\r\n"], ids=repr)
def test_a_success_without_a_body_is_one(status, body):
    with Client(Custom(HttpResponse(status, {}, body)), ClientConfig("key")) as client:
        result = client.upsert_user(user_id="u1")
    assert (result.success, result.request_id, result.rejected) == (True, None, {})


@pytest.mark.parametrize(
    "data", [None, {}, {"permissions": None}, {"permissions": 5}, [], "x", {"domain": "d"}, [{"id": 1}], [1], [[]]]
)
def test_a_response_of_another_form_is_a_failure_with_its_request_id(api, client, data):
    api.answer_next(status=200, body={"data": data, "meta": {"requestId": "r1", "status": 200}}, count=2)
    for result in (client.get_api_key_details(), client.get_tracking_snippet(domain="d")):
        assert (result.success, result.error, result.request_id) == (False, APIError.UnknownError, "r1")


@pytest.mark.parametrize("remaining", ["", "many", "-1", "1.5", "9" * 5000, "NaN"])
def test_a_rate_header_that_makes_no_sense_is_not_said(api, client, remaining):
    api.answer_next(status=201, headers={"X-RateLimit-Remaining": remaining, "X-RateLimit-Limit": remaining})
    assert client.add_event(EVENT).calls_remaining is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_for_the_key_would_travel_along(api, client, status):
    with Inspector(port=0) as elsewhere:
        api.answer_next(status=status, headers={"Location": elsewhere.url + "/track"}, body="", count=2)
        results = [client.add_event(EVENT), client.get_events()]
        assert elsewhere.requests == []
    for result in results:
        assert (result.success, result.error, result.status) == (False, APIError.UnknownError, status)
        assert "redirect" in result.message


class Custom:
    """An HttpClient by protocol alone, without a base class: returns or raises what it is given."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.closed = False

    def send(self, request):
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        self.closed = True


def test_a_custom_http_client_carries_the_request():
    http = Custom(HttpResponse(201, {"X-RATELIMIT-REMAINING": "5"}, b'{"meta": {"requestId": "r1"}}'))
    with Client(http, ClientConfig("key", base_url="https://eu.journy.io/", timeout=3)) as client:
        result = client.add_event(EVENT)
    [request] = http.requests
    assert (request.method, request.url, request.timeout) == ("POST", "https://eu.journy.io/track", 3.0)
    assert request.headers["X-Api-Key"] == "key"
    assert request.body == b'{"identification":{"user":{"userId":"u1"}},"name":"signed_in"}'
    assert (result.request_id, result.calls_remaining) == ("r1", 5)
    assert not http.closed  # only its owner closes it


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (NotSent("the proxy said no"), APIError.ConnectionFailed),
        (MaybeSent(timed_out=True), APIError.Timeout),
        (NotSent(timed_out=True), APIError.Timeout),
        (ZeroDivisionError(), APIError.ConnectionFailed),
        (TimeoutError(), APIError.ConnectionFailed),
        (None, APIError.ConnectionFailed),
        ("text", APIError.ConnectionFailed),
        (HttpResponse(None, {}, b""), APIError.ConnectionFailed),
        (HttpResponse(201, None, b""), APIError.ConnectionFailed),
        (HttpResponse(201, {}, None), APIError.ConnectionFailed),
        (HttpResponse(0, {}, b""), APIError.UnknownError),
        (HttpResponse(700, {}, b""), APIError.ServerError),
    ],
)
def test_whatever_a_custom_http_client_does_is_a_failure_with_a_message(answer, error):
    result = Client(Custom(answer), ClientConfig("key")).add_event(EVENT)
    assert isinstance(result, Failure)
    assert result.error is error
    assert result.message


class Limit:
    """Handlers of every kind that end a request by a time limit of the app."""

    def __call__(self, *_: object) -> None:
        raise TimeoutError("the app's own")

    method = __call__


@pytest.mark.parametrize(
    "handler",
    [Limit().method, Limit(), partial(Limit().method, "job"), partial(partial(Limit(), 1), 2)],
    ids=["method", "object", "partial", "partial of a partial"],
)
def test_what_a_signal_handler_raises_reaches_the_app(handler):
    # Catches: a handler that is not recognised, whose TimeoutError is taken for the request's own.
    class Interrupted:
        def send(self, request):
            signal.raise_signal(signal.SIGINT)

        def close(self): ...

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(TimeoutError, match="the app's own"):
            Client(Interrupted(), ClientConfig("key")).add_event(EVENT)
    finally:
        signal.signal(signal.SIGINT, before)
