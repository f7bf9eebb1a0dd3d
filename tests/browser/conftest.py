"""A real headless Chromium; the tests are skipped where it is not installed. Screenshots are kept as artefacts."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from journy_track.inspector import Inspector

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

DESK, TABLET, PHONE = ({"width": width, "height": height} for width, height in ((1280, 800), (768, 1024), (390, 844)))
TIMEOUT = 15_000  # milliseconds: generous for a loaded machine, and a passing test does not wait for it


@pytest.fixture(scope="module")  # playwright keeps an event loop running in this thread: other tests need theirs
def browser() -> Iterator[Any]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, or name one in CHROMIUM")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Inspector]:
    with Inspector(limit=100_000) as inspector:
        yield inspector


@pytest.fixture
def api(running: Inspector) -> Inspector:
    running.reset()
    return running


@pytest.fixture(scope="module")
def context_of(browser: Any) -> Iterator[Callable[..., Any]]:
    """Browser contexts by size and colour scheme, each created once because that takes a second."""
    made: dict[tuple[int, str], Any] = {}

    def context(viewport: dict[str, int], scheme: str) -> Any:
        key = (viewport["width"], scheme)
        if key not in made:
            made[key] = browser.new_context(
                viewport=viewport,
                color_scheme=scheme,
                reduced_motion="reduce",
                permissions=["clipboard-read", "clipboard-write"],
            )
        return made[key]

    yield context
    for one in made.values():
        one.close()


@pytest.fixture
def open_page(context_of: Callable[..., Any], api: Inspector) -> Iterator[Callable[..., Any]]:
    """Opens the page. The test fails when the page logs an error or requests anything from another host."""
    wrong: list[str] = []
    pages = []

    def is_wrong(message: Any) -> bool:
        # A response with an error status or a lost connection is not an error of the page.
        return message.type in ("error", "warning") and not re.search(r"ERR_|status of 4\d\d", message.text)

    def open_one(
        address: str = "", *, viewport: dict[str, int] = DESK, scheme: str = "light", url: str = api.url
    ) -> Any:
        page = context_of(viewport, scheme).new_page()
        pages.append(page)
        page.set_default_timeout(TIMEOUT)
        playwright_api.expect.set_options(timeout=TIMEOUT)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda message: wrong.append(message.text) if is_wrong(message) else None)
        page.on("request", lambda asked: None if asked.url.startswith(url) else wrong.append(f"asked {asked.url}"))
        page.goto(f"{url}/{address}")
        playwright_api.expect(page.locator("#live")).to_have_text("Live")
        return page

    yield open_one
    for page in pages:
        page.close()
    assert not wrong, wrong


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[[Any, str], None]:
    """Saves a screenshot in the folder that SCREENSHOTS names, or else in the test's temporary folder."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def keep(page: Any, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return keep


class Caller:
    """A program that calls the API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-Api-Key"] = "a-key-for-tests"

    def __call__(self, path: str, body: Any, method: str = "POST") -> requests.Response:
        return self.session.request(method, self.url + path, json=body, timeout=10)

    def track(self, name: str = "signed_in", user: str = "u1", account: str | None = None, **metadata: Any) -> Any:
        named = {"user": {"userId": user}} | ({"account": {"accountId": account}} if account else {})
        return self("/track", {"identification": named, "name": name, "metadata": metadata})


@pytest.fixture
def call(api: Inspector) -> Iterator[Caller]:
    caller = Caller(api.url)
    with caller.session:
        yield caller


@pytest.fixture
def sample(api: Inspector, call: Caller) -> Caller:
    """A few users and accounts with their events, and one of each thing that can go wrong."""
    for number, (user, account) in enumerate([("ada", "acme"), ("grace", "globex"), ("alan", "acme")]):
        named = {"userId": user, "email": f"{user}@{account}.example"}
        call("/users/upsert", {"identification": named, "properties": {"full_name": user.title(), "mrr": number}})
        call("/accounts/upsert", {"identification": {"accountId": account}, "properties": {"plan": "Pro"}})
        call("/accounts/users/add", {"account": {"accountId": account}, "users": [{"identification": named}]})
        call.track(
            "signed_in", user, account, channel="web", trace_id=f"{number + 1:032x}", span_id=f"{number + 1:016x}"
        )
        call.track("exported_report", user, account, rows=number * 100)
    call("/link", {"identification": {"userId": "ada"}, "deviceId": "device-of-ada"})
    call("/users/upsert", {"identification": {"userId": "ada"}, "properties": {"mrr": "many", "plan": "Team"}})
    call("/track", {"identification": {"user": {"email": "nobody"}}, "metadata": {"nested": {"a": 1}}})
    api.answer_next(429)
    call.track("created_invoice", "grace", "globex", amount=249.5)
    return call
