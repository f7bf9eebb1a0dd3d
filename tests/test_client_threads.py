"""One Client is shared by many threads, and by forked processes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from journy_track import Client, ClientConfig, Event, HttpResponse, UserIdentified
from journy_track._model.reads import GetEvents
from journy_track._model.secret import Secret
from journy_track._transport.rest import HttpTransport

THREADS = 8


def event(number):
    return Event.for_user("signed_in", UserIdentified(number))


def test_eight_threads_share_a_client(api):
    together = threading.Barrier(THREADS)

    def calls(thread):
        together.wait(10)
        return [client.add_event(event(f"{thread}-{number}")) for number in range(10)]

    with Client(None, ClientConfig("key", base_url=api.url)) as client, ThreadPoolExecutor(THREADS) as threads:
        results = [result for done in threads.map(calls, range(THREADS)) for result in done]
    assert all(result.success for result in results)
    assert len({result.request_id for result in results}) == len(api.events) == THREADS * 10
    assert {e.user["userId"] for e in api.events} == {f"{t}-{n}" for t in range(THREADS) for n in range(10)}


class Http:
    def __init__(self):
        self.sent = 0

    def send(self, request):
        self.sent += 1
        return HttpResponse(200, {}, b"")

    def close(self):
        pass


def test_threads_that_come_first_together_use_one_http_client():
    together = threading.Barrier(THREADS)
    made = []

    def make():
        made.append(http := Http())
        together.wait(10)  # no thread has one yet, so each creates one
        return http

    transport = HttpTransport(Secret("key"), "https://api.journy.io", 1.0, make_client=make)
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda _: transport.send(GetEvents()), range(THREADS)))
        list(threads.map(lambda _: transport.send(GetEvents()), range(THREADS)))
    assert [http.sent for http in made if http.sent] == [2 * THREADS]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_connections_of_its_own():
    made = []

    def make():
        made.append(Http())
        return made[-1]

    transport = HttpTransport(Secret("key"), "https://api.journy.io", 1.0, make_client=make)
    transport.send(GetEvents())
    child = os.fork()
    if not child:
        transport.send(GetEvents())
        os._exit([http.sent for http in made] == [1, 1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == True  # noqa: E712 - the child's answer
    transport.send(GetEvents())
    assert [http.sent for http in made] == [2]
