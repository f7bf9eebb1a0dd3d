"""axe-core finds no violations, in any view, at any width, in light or dark mode."""

from collections.abc import Iterator
from importlib import resources

import pytest
from playwright.sync_api import expect

from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track.cli.forwarding import JournyIo
from journy_track.inspector import Inspector
from journy_track.inspector.catalogue import Catalogue

pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")

from .conftest import PHONE, Caller

SIZES = {"1440": {"width": 1440, "height": 900}, "1024": {"width": 1024, "height": 768}, "390": PHONE}
VIEWS = (
    "#/events",
    "#/events/1",
    "#/events/r1",
    "#/users",
    "#/users/ada",
    "#/accounts",
    "#/accounts/acme",
    "#/requests",
    "#/requests/6",
    "#/budget",
    "?step=signed_up&step=bought#/funnel",
    "#/catalogue",
)
FOUND = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`))"""


@pytest.fixture(scope="module")
def full() -> Iterator[Inspector]:
    """An inspector that shows everything it can: a mirror with a failed request, a catalogue, and a split batch."""
    with Inspector() as journy_io:
        target = JournyIo(Config.load(Secret("a-real-key"), {"base_url": journy_io.url}, {}))
        with Inspector(forward=target, catalogue=lambda: Catalogue("events.md", ("signed_up", "other"))) as api:
            call = Caller(api.url)
            with call.session:
                call.track("signed_up", "ada", "acme", trace_id="ab" * 16)
                call.track("bought", "ada", "acme")
                api.answer_next(503)
                for _ in range(2):
                    call.track("bought", "grace", "acme", amount=2.5)
                call("/users/upsert", {"identification": {"userId": "ada"}, "properties": {"plan": "pro"}})
                messages = [
                    {"type": "track", "messageId": f"m{n}", "event": "batched", "userId": "u"} for n in (1, 2)
                ]
                api.answer_next(413)
                call("/v1/batch", {"batch": messages, "writeKey": "k"})
                call("/v1/batch", {"batch": messages[:1], "writeKey": "k"})
                call("/track", {"identification": {"user": {"email": "nobody"}}, "metadata": {"nested": {"a": 1}}})
                report = {
                    "kind": "dropped",
                    "name": "lost",
                    "reason": "no_identity",
                    "place": "shop.py:3",
                    "text": "x",
                }
                call.session.post(
                    f"{api.url}/__inspector/reports",
                    json={"reports": [report]},
                    headers={"X-Inspector-Control": "1"},
                    timeout=10,
                )
                api.wait_for(lambda api: sum(api.forwarded) == 5, timeout=30)
            yield api


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_in_any_view(browser, full, size, scheme):
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    # The page's own policy blocks injected scripts such as axe. The test checks the page, not the policy.
    with browser.new_context(
        viewport=SIZES[size], color_scheme=scheme, reduced_motion="reduce", bypass_csp=True
    ) as context:
        for view in VIEWS:
            page = context.new_page()
            page.goto(f"{full.url}/{view}")
            expect(page.locator("#live")).to_have_text("Live")
            shown = page.locator("#detail h2, #list .row, #budget .tiles b, .steps, #catalogue h3")
            expect(shown.filter(visible=True).first).to_be_visible()
            page.evaluate(script)
            assert page.evaluate(FOUND) == [], view
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
            page.close()


@pytest.mark.parametrize("button", ["Faults", "Reset"])
def test_axe_finds_nothing_in_a_dialog(browser, full, button):
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    with browser.new_context(viewport=SIZES["1440"], reduced_motion="reduce", bypass_csp=True) as context:
        page = context.new_page()
        page.goto(full.url)
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.evaluate(script)
        assert page.evaluate(FOUND) == []
