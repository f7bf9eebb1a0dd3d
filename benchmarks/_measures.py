"""The individual measurements, each in a fresh process that prints one line of JSON.

    python -m benchmarks._measures NAME [ARGUMENT …]

`python -m benchmarks` runs them in turn, repeatedly.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from benchmarks._peers import NOWHERE, PEERS, network_off

CALLS = 200
#: The body of one event, as this library sends it.
EVENT = {
    "identification": {"user": {"userId": "u1"}, "account": {"accountId": "acme"}},
    "name": "benchmarked",
    "triggeredAt": "2026-11-23T12:00:00.000Z",
    "metadata": {"plan": "pro", "marker": "constant"},
}
HEADERS = {"X-Api-Key": "benchmark-key", "Content-Type": "application/json"}
Figures = dict[str, Any]


# ── Capture ──


def burst(call: Callable[[], object], bursts: int, calls: int = CALLS) -> tuple[float, float]:
    """Return nanoseconds per call, wall and thread CPU: medians of bursts, with pauses for a worker to catch up."""
    wall, cpu = [], []
    for _ in range(bursts):
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(calls):
            call()
        cpu.append((time.thread_time_ns() - used) / calls)
        wall.append((time.perf_counter_ns() - began) / calls)
        time.sleep(0.02)
    return statistics.median(wall), statistics.median(cpu)


def sparse(call: Callable[[], object], calls: int) -> tuple[float, float]:
    """Like `burst`, for calls 1 ms apart. The cost of reading the clocks is subtracted."""
    wall, cpu, clocks = [], [], []
    for _ in range(calls):
        time.sleep(0.001)
        began, used = time.perf_counter_ns(), time.thread_time_ns()
        between = time.perf_counter_ns(), time.thread_time_ns()
        call()
        ended, spent = time.perf_counter_ns(), time.thread_time_ns()
        clocks.append((between[0] - began, between[1] - used))
        wall.append(ended - between[0])
        cpu.append(spent - between[1])
    off = [statistics.median(clock[i] for clock in clocks) for i in (0, 1)]
    return statistics.median(wall) - off[0], statistics.median(cpu) - off[1]


def capture(name: str, url: str, bursts: str) -> Figures:
    """Measure one library's cost on the calling thread."""
    peer = PEERS[name]
    if not peer.blocks:
        network_off()
    call = peer.make(url if peer.blocks else NOWHERE, 1_000_000)
    one = lambda: call("")  # noqa: E731
    for _ in range(50):
        one()
    calls = 20 if peer.blocks else CALLS
    wall, cpu = burst(one, int(bursts), calls)
    apart, apart_cpu = sparse(one, 100 if peer.blocks else 300)
    return {"wall": wall, "cpu": cpu, "sparse": apart, "sparse_cpu": apart_cpu}


def floor(bursts: str) -> Figures:
    """Compare ours, the floor and a bare wrapt call in one process, with the network off and the worker running."""
    from opentelemetry import trace

    import journy_track
    from benchmarks import capture as prototypes
    from journy_track._model.outcomes import Delivered, Response
    from journy_track._transport.rest import HttpTransport

    HttpTransport.send = lambda *_, **__: Delivered(Response(201))  # type: ignore[method-assign]
    calls = {"bare": prototypes.bare(), "floor": prototypes.floor(), "ours": prototypes.ours()}
    found: Figures = {}
    before = interleaved({"bare": calls["bare"], "ours": calls["ours"]}, int(bursts))
    found["unconfigured"] = before["ours"] / before["bare"]
    journy_track.configure("benchmark-key", base_url=NOWHERE, enabled=False)
    disabled = interleaved({"bare": calls["bare"], "ours": calls["ours"]}, int(bursts))
    found["disabled"] = disabled["ours"] / disabled["bare"]
    journy_track.configure("benchmark-key", base_url=NOWHERE, queue_size=10_000_000)
    span = trace.NonRecordingSpan(trace.SpanContext(1 << 100, 1 << 50, is_remote=False))
    with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(plan="pro"):
        for title, around in (("", trace.INVALID_SPAN), ("_span", span)):
            with trace.use_span(around):
                times = interleaved(calls, int(bursts))
            found |= {f"{name}{title}": value for name, value in times.items()}
            found[f"ratio{title}"] = (times["ours"] - times["bare"]) / (times["floor"] - times["bare"])
        apart: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(5):
            for name, call in calls.items():
                apart[name].append(sparse(call, 100)[0])
        for name, times in apart.items():
            found[f"{name}_apart"] = statistics.median(times)
            found[f"{name}_apart_ratio"] = found[f"{name}_apart"] / found[name]
        found["apart_ratio"] = found["ours_apart_ratio"]
    return found


def interleaved(calls: dict[str, Callable[[], None]], bursts: int) -> dict[str, float]:
    """Run the bursts of all calls in turn, and return each call's median."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(bursts):
        for name, call in calls.items():
            found[name].append(burst(call, 1)[0])
    return {name: statistics.median(times) for name, times in found.items()}


def threads(captures: str) -> Figures:
    """Measure events per second captured by one thread and by eight: for ours, and for the floor, the GIL's limit.

    Measured per wall-clock second and per CPU second: on a busy machine, eight threads get more CPU time than one.
    """
    import journy_track
    from benchmarks import capture as prototypes
    from journy_track._delivery.worker import Worker

    Worker.start = lambda self: self._queue.with_worker()  # type: ignore[method-assign]  # capture only
    rates: dict[tuple[str, int], list[tuple[float, float]]] = {}
    makers = {"ours": prototypes.ours, "floor": prototypes.floor}
    for run, (name, count) in enumerate(2 * [(name, count) for name in makers for count in (1, 8)]):
        tracker = journy_track.configure(
            "benchmark-key", base_url=NOWHERE, queue_size=10_000_000, metadata={"run": run}
        )
        each = int(captures) // count
        rates.setdefault((name, count), []).append(rates_of(makers[name](), count, each))
        assert tracker.stats().captured == (each * count if name == "ours" else 0)
    best = {key: [max(figures) for figures in zip(*some, strict=True)] for key, some in rates.items()}
    found: Figures = {"one": best["ours", 1][0], "eight": best["ours", 8][0]}
    for name in ("ours", "floor"):
        for place, title in enumerate(("clock", "cpu")):
            found[f"{name}_{title}"] = best[name, 8][place] / best[name, 1][place]
    found["ratio"] = found["ours_clock"]
    return found


def rates_of(call: Callable[[], None], count: int, each: int) -> tuple[float, float]:
    """Return calls per second of *count* concurrent threads, by wall clock and by their total CPU time."""
    import journy_track

    barrier = threading.Barrier(count + 1)

    def run() -> None:
        with journy_track.user("u1"), journy_track.account("acme"), journy_track.metadata(plan="pro"):
            barrier.wait()
            for _ in range(each):
                call()
            barrier.wait()

    running = [threading.Thread(target=run) for _ in range(count)]
    for thread in running:
        thread.start()
    barrier.wait()
    began, used = time.perf_counter(), time.process_time()
    barrier.wait()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    for thread in running:
        thread.join()
    return each * count / seconds, each * count / cpu


# ── Delivery ──


def sender(name: str, url: str) -> tuple[Callable[[int], object], Callable[[], object]]:
    """Return a function that sends one event, and one that waits until all are delivered."""
    place = urlsplit(url)
    if name == "ours":
        import journy_track

        journy_track.configure("benchmark-key", base_url=url, queue_size=100_000)

        def track(number: int) -> None:
            journy_track.track("benchmarked", user=f"u{number}", account="acme", plan="pro", marker="constant")

        return track, lambda: journy_track.flush(120) or sys.exit("not all was delivered")
    if name == "official_sdk":
        call = PEERS[name].make(url, 0)
        return lambda number: call("constant"), lambda: None
    if name in ("session", "session_ready"):
        import requests

        session = requests.Session()
        return lambda number: session.post(
            f"{url}/events", json=EVENT, headers=HEADERS
        ).raise_for_status(), lambda: None
    if name == "http_client":
        kept = http.client.HTTPConnection(str(place.hostname), place.port)

        def post(number: int) -> None:
            kept.request("POST", "/events", json.dumps(EVENT), HEADERS)
            kept.getresponse().read()

        return post, lambda: None
    raw = socket.create_connection((place.hostname, place.port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"POST /events HTTP/1.1\r\nHost: {place.netloc}\r\n"
    head += "".join(f"{key}: {value}\r\n" for key, value in HEADERS.items())

    def exchange(number: int) -> None:
        body = json.dumps(EVENT)
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            answer += raw.recv(65536)

    return exchange, lambda: None


def delivery(name: str, url: str, events: str) -> Figures:
    """Measure this process's CPU and rate while it delivers events back to back."""
    send, wait = sender(name, url)
    for number in range(20):
        send(number)
    wait()
    began, used = time.perf_counter(), time.process_time()
    for number in range(int(events)):
        send(number)
    wait()
    seconds = time.perf_counter() - began
    return {"cpu": (time.process_time() - used) / int(events) * 1e6, "rate": int(events) / seconds}


def paced(name: str, url: str, seconds: str) -> Figures:
    """Measure this process's CPU while it delivers 30 events per second, in percent of one core."""
    send, wait = sender(name, url)
    for number in range(10):
        send(number)
    wait()
    began, used = time.perf_counter(), time.process_time()
    count = int(float(seconds) * 30)
    for number in range(count):
        time.sleep(max(0.0, began + number / 30 - time.perf_counter()))
        send(number)
    wait()
    cpu = time.process_time() - used
    return {"percent": 100 * cpu / (time.perf_counter() - began), "cpu": cpu / count * 1e6}


def latency(accounts: str, url: str, events: str) -> Figures:
    """Measure events per second for distinct users, over 8 connections to a server that takes 100 ms to respond."""
    import journy_track

    journy_track.configure("benchmark-key", base_url=url)
    for number in range(8):  # until its connections and its budget are known
        journy_track.track("warmed", user=f"w{number}")
    journy_track.flush(60)
    began = time.perf_counter()
    for number in range(int(events)):
        account = "acme" if accounts == "one" else f"a{number}"
        journy_track.track("benchmarked", user=f"u{number}", account=account)
    assert journy_track.flush(120)
    return {"rate": int(events) / (time.perf_counter() - began)}


# ── The app alongside ──


def loop(name: str, url: str, pairs: str) -> Figures:
    """Measure how much a CPU-bound loop slows down while 30 events per second are captured and delivered."""
    send: Callable[[int], object] = lambda number: None  # noqa: E731
    if name == "session_thread":  # what one would write by hand: a queue, and a thread that posts
        import queue

        post, _ = sender("session", url)
        waiting: queue.Queue[int] = queue.Queue()

        def deliver() -> None:
            while True:
                post(waiting.get())

        threading.Thread(target=deliver, daemon=True).start()
        send = waiting.put
    elif name != "nothing":
        send, _ = sender(name, url)
    part = work_for(0.04)
    spin(part)
    ratios = []
    for pair in range(int(pairs)):
        times = {}
        for sends in (True, False) if pair % 2 else (False, True):
            began, due = time.perf_counter(), 0.0
            for number in range(25):
                if sends and time.perf_counter() - began >= due:
                    send(number)
                    due += 1 / 30
                spin(part)
            times[sends] = time.perf_counter() - began
        ratios.append(times[True] / times[False])
    return {"slowdown": statistics.median(ratios)}


def spin(count: int) -> int:
    """Do *count* steps of pure Python work."""
    total = 0
    for number in range(count):
        total += number * number % 7
    return total


def work_for(seconds: float) -> int:
    """Return how many steps of `spin` take about *seconds*."""
    count = 10_000
    while True:
        began = time.perf_counter()
        spin(count)
        if (took := time.perf_counter() - began) > 0.02:
            return int(count * seconds / took)
        count *= 2


# ── Import, memory, exit ──


def imports(code: str) -> Figures:
    """Measure the CPU milliseconds that *code* adds to a bare process, and how many modules it loads."""
    bare, before = fresh("")
    cpu, after = fresh(code)
    return {"cpu": (cpu - bare) * 1000, "modules": len(after - before), "requests": "requests" in after}


def fresh(code: str) -> tuple[float, set[str]]:
    """Return the CPU seconds of a process that runs *code* and exits at once, and the modules it has loaded."""
    say = "\nimport os, sys; os.write(1, ' '.join(sys.modules).encode()); os._exit(0)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run([sys.executable, "-c", code + say], stdout=subprocess.PIPE, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, set(said.split())


def memory(name: str, items: str) -> Figures:
    """Measure the bytes per waiting item while the server does not respond."""
    stalled = threading.Event()
    network_off(stalled)
    count = int(items)
    call = PEERS[name].make(NOWHERE + "/stalled" if name == "queue_handler" else NOWHERE, count + 1000)
    for number in range(20):
        call(f"x{number:06d}x")
    time.sleep(0.5)
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        call(f"y{number:06d}y")
    time.sleep(1.0)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    print(json.dumps({"bytes": used / count}), flush=True)
    os._exit(0)


def memory_of_ours(place: str, items: str) -> Figures:
    """Measure the bytes per item of ours with trace IDs, in the queue or taken by the worker into the outbox."""
    from opentelemetry import trace

    import journy_track
    from journy_track._delivery.worker import Worker

    if place == "queue":
        Worker.start = lambda self: self._queue.with_worker()  # type: ignore[method-assign]
    stalled = threading.Event()
    network_off(stalled)
    tracker = journy_track.configure("benchmark-key", base_url=NOWHERE, queue_size=100_000)
    call = journy_track.track_event("benchmarked")(lambda: None)
    count = int(items)

    def record(first: int, last: int) -> None:
        for number in range(first, last):
            context = trace.SpanContext((1 << 100) + number, (1 << 50) + number, is_remote=False)
            with (
                trace.use_span(trace.NonRecordingSpan(context)),
                journy_track.user(f"u{number}"),
                journy_track.account(f"a{number}"),
                journy_track.metadata(plan="pro", number=number),
            ):
                call()

    record(0, 20)
    queue = tracker.recorder.queue
    time.sleep(1.0)  # until the worker and its senders have started and imported what they need
    gc.collect()
    tracemalloc.start()
    record(20, 20 + count)
    deadline = time.monotonic() + 60
    while place == "outbox" and len(queue):  # type: ignore[arg-type]
        time.sleep(0.05)
        assert time.monotonic() < deadline
    time.sleep(0.2)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    assert tracker.stats().captured == count + 20
    print(json.dumps({"bytes": used / count}), flush=True)
    os._exit(0)


def leave(name: str, url: str, events: str) -> Figures:
    """Queue events and let the process exit normally. Prints when the exit began, by the monotonic clock."""
    call = PEERS[name].make(url, 10_000)
    for number in range(int(events)):
        call(f"m{number:06d}m")
    print(json.dumps({"at": time.monotonic()}), flush=True)
    return {}


MEASURES: dict[str, Callable[..., Figures]] = {
    measure.__name__: measure
    for measure in (capture, floor, threads, delivery, paced, latency, loop, imports, memory, memory_of_ours, leave)
}


def main() -> None:
    """Run the measurement and print it."""
    name, *arguments = sys.argv[1:]
    figures = MEASURES[name](*arguments)
    if figures:
        print(json.dumps(figures), flush=True)
        os._exit(0)  # does not wait for a peer's exit handlers


if __name__ == "__main__":
    main()
