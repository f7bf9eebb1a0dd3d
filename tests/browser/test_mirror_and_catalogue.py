"""The page marks what is also sent to journy.io, and what is missing in the committed catalogue."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from journy_track._model.config import Config
from journy_track._model.secret import Secret
from journy_track.cli.forwarding import JournyIo
from journy_track.inspector import Inspector
from journy_track.inspector.catalogue import Catalogue

from .conftest import Caller


@pytest.fixture
def journy_io() -> Iterator[Inspector]:
    with Inspector() as inspector:
        yield inspector


@pytest.fixture
def mirror(journy_io: Inspector) -> Iterator[Inspector]:
    target = JournyIo(Config.load(Secret("the-real-key"), {"base_url": journy_io.url}, {}))
    with Inspector(forward=target) as inspector:
        yield inspector


@pytest.fixture
def compared() -> Iterator[tuple[Inspector, list[str]]]:
    """An inspector, and the names in its catalogue."""
    names = ["signed_up", "Created Invoice", "bought"]
    with Inspector(
        catalogue=lambda: Catalogue("events.md", tuple(names)), trace_url="https://traces.example/{trace_id}"
    ) as inspector:
        yield inspector, names


def test_the_page_says_that_it_is_live_and_marks_each_item(journy_io, mirror, open_page):
    call = Caller(mirror.url)
    with call.session:
        call.track("accepted")
        mirror.wait_for(lambda api: api.forwarded == (1, 0))
        page = open_page(url=mirror.url)
        banner = page.get_by_role("region", name="Mirror")
        expect(banner).to_contain_text("Live data: also sent to journy.io.")
        expect(banner).to_contain_text(f"{journy_io.url.removeprefix('http://')} as well, with the key …-key")
        expect(banner).to_contain_text("1 sent, none failed")
        expect(page.get_by_role("row", name="accepted")).to_contain_text("Also sent to journy.io")
        journy_io.answer_next(403)
        call.track("forbidden")
        expect(banner).to_contain_text("1 sent, 1 failed")
        row = page.get_by_role("row", name="forbidden")
        expect(row).to_contain_text("Failed at journy.io: A planned response.")
        row.click()
        expect(page.locator(".facts")).to_contain_text("failed, 403: A planned response.")
        banner.get_by_role("link", name="1 failed").click()
        expect(page.get_by_role("grid", name="Requests")).to_have_attribute("aria-rowcount", "2")
        page.close()


def test_without_a_mirror_nothing_says_so(call, open_page):
    call.track()
    page = open_page()
    expect(page.get_by_role("row", name="signed_in")).to_be_visible()
    expect(page.locator("#mirror")).to_be_hidden()
    expect(page.locator(".mirrored")).to_have_count(0)


def test_what_arrived_is_compared_with_the_catalogue(compared, open_page):
    api, names = compared
    call = Caller(api.url)
    with call.session:
        for name in ("signed_up", "created_invoice"):
            call.track(name)
        page = open_page(url=api.url)
        expect(page.get_by_role("row", name="created_invoice")).to_contain_text("unknown")
        expect(page.get_by_role("row", name="signed_up")).not_to_contain_text("unknown")
        page.keyboard.press("7")
        unknown = page.get_by_role("list", name="Seen, but not in the catalogue").get_by_role("listitem")
        expect(unknown).to_have_text(["created_invoicethe catalogue has Created Invoice"])
        never = page.get_by_role("list", name="In the catalogue, but never seen here").get_by_role("listitem")
        expect(never).to_have_text(["Created Invoice", "bought"])
        call.track("bought")
        expect(never).to_have_text(["Created Invoice"])
        names.append("created_invoice")  # the catalogue file was rewritten
        expect(page.locator("#catalogue")).to_contain_text("None: all events that arrived are in it.")
        page.get_by_role("link", name="created_invoice").click()
        expect(page.get_by_role("row", name="created_invoice")).to_be_visible()
        expect(page.get_by_role("row", name="created_invoice")).not_to_contain_text("unknown")
        page.close()


def test_without_a_catalogue_nothing_is_unknown(call, open_page):
    call.track()
    page = open_page()
    expect(page.get_by_role("row", name="signed_in")).not_to_contain_text("unknown")
    expect(page.get_by_role("link", name="Catalogue")).to_have_count(0)


def test_a_trace_is_linked_to_where_the_inspector_was_told(compared, open_page):
    api, _ = compared
    call = Caller(api.url)
    with call.session:
        call.track("signed_up", trace_id="ab" * 16)
    page = open_page("#/events/1", url=api.url)
    link = page.get_by_role("link", name="Open the trace")
    expect(link).to_have_attribute("href", f"https://traces.example/{'ab' * 16}")
    page.get_by_text("Link to your tracing").click()
    page.get_by_label("Address of a trace").fill("http://other.example/?t={trace_id}")
    expect(link).to_have_attribute("href", f"http://other.example/?t={'ab' * 16}")
    page.reload()
    expect(link).to_have_attribute("href", f"http://other.example/?t={'ab' * 16}")
    page.get_by_text("Link to your tracing").click()
    page.get_by_label("Address of a trace").fill("")  # clears what this browser stored
    page.close()
