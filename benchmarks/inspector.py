"""Many requests to the inspector: its memory, and how fast its page opens and filters.

    python -m benchmarks.inspector [--requests 50000] [--connections 4]

The inspector runs in a separate process, so that its memory is measured alone. The page is timed in a real Chromium,
driven by playwright; if there is none, only sending and memory are measured.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

MEGABYTE = 1024 * 1024


def main() -> None:
    """Start an inspector, send, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    command = [sys.executable, "-m", "journy_track", "inspect", "--port", "0", "--limit", "10000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert found is not None, "the inspector did not start"
            print(f"RSS at the start: {rss(process.pid)}")
            seconds = send(int(found[1]), options.requests, options.connections)
            print(f"{options.requests} requests in {seconds:.1f} s: {options.requests / seconds:.0f} a second")
            print(f"RSS afterwards: {rss(process.pid)}")
            time_the_page(found[0], process.pid, min(options.requests, 10_000))
        finally:
            process.terminate()


def send(port: int, requests: int, connections: int) -> float:
    """Send events over *connections* connections, and return how many seconds it took."""
    threads = [
        threading.Thread(target=_send, args=(port, range(number, requests, connections)))
        for number in range(connections)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _send(port: int, numbers: range) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for number in numbers:
        user, account = f"u{number % 5000}", f"account{number % 400}"
        body: dict[str, Any] = {
            "identification": {"user": {"userId": user, "email": f"{user}@{account}.example"}},
            "name": ("signed_in", "created_invoice", "exported_report", "invited_member")[number % 4],
            "metadata": {"plan": "Pro", "amount": number / 4, "channel": "web", "trace_id": f"{number:032x}"},
        }
        body["identification"]["account"] = {"accountId": account}
        headers = {"Content-Type": "application/json", "X-Api-Key": "benchmark-key"}
        connection.request("POST", "/track", json.dumps(body), headers)
        connection.getresponse().read()
    connection.close()


def time_the_page(url: str, process: int, kept: int) -> None:
    """Open and filter the page, and print how long each took until the result was visible."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        path = None
    if path is None:
        print("The page was not timed: that needs playwright and a Chromium.")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto("about:blank")  # excludes the browser's own start
        for attempt in ("first time", "again"):
            started = time.perf_counter()
            page.goto(url)
            page.wait_for_selector(".row")
            rows = time.perf_counter() - started
            page.wait_for_selector(f'#grid[aria-rowcount="{kept + 1}"]')
            whole = time.perf_counter() - started
            print(f"page, {attempt}: first rows after {rows:.2f} s, all {kept} after {whole:.2f} s")
        for text in ("created_invoice", "00c34f", "u4999", "no such thing", ""):
            print(f"filter {text!r}: {page.evaluate(FILTER, text):.0f} ms until it was drawn")
        rows = page.locator("#grid").get_attribute("aria-rowcount")
        print(f"{rows} lines in the list, {page.locator('.row').count()} of them in the document")
        heap = page.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0")
        print(f"JavaScript heap of the page: {heap / MEGABYTE:.0f} MB; RSS of the inspector: {rss(process)}")
        browser.close()


FILTER = """(text) => new Promise((done) => {
  const input = document.querySelector("[name=q]");
  const started = performance.now();
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - started)));
})"""


def rss(process: int) -> str:
    """Return the resident memory of a process, as Linux counts it."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return "unknown on this system"
    pages = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
    return f"{int(pages[1]) / 1024:.0f} MB" if pages else "unknown"


if __name__ == "__main__":
    main()
