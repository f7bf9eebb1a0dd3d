"""A chart of events over time above the list: by name, with counts, and selecting a range filters the list."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from .conftest import PHONE


@pytest.fixture
def spread(api, call):
    """Ten events that arrived one minute apart."""
    start = datetime.now(UTC) - timedelta(minutes=10)
    for number in range(10):
        call.track("early" if number < 4 else "late")
    with api._state.changed:
        for number, received in enumerate(api.requests):
            object.__setattr__(received, "received_at", start + timedelta(minutes=number))
    return call


def limits(page):
    query = parse_qs(urlsplit(page.url).query)
    return query.get("from"), query.get("to")


def test_names_are_counted_and_one_that_is_chosen_filters(spread, open_page):
    page = open_page()
    expect(page.locator(".name-count")).to_have_text(["late 6", "early 4"])
    page.get_by_role("button", name="early 4").click()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "5")
    expect(page.get_by_role("combobox", name="Event", exact=True)).to_have_value("=early")


def test_a_part_that_is_brushed_filters_and_a_click_shows_all(spread, open_page):
    page = open_page()
    plot = page.locator(".plot")
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
    page.mouse.up()
    expect(page.locator("#matches")).to_have_text("3 match")
    expect(page.locator(".brush")).to_be_visible()
    expect(page.locator(".name-count")).to_have_text(["late 6", "early 4"])  # unfiltered, so there is more to choose
    page.reload()
    expect(page.locator("#matches")).to_have_text("3 match")
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 20)
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "11")
    assert limits(page) == (None, None)


def test_the_arrow_keys_choose_a_part_and_escape_shows_all(spread, open_page):
    page = open_page()
    page.locator(".plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#matches")).to_have_text("1 matches")
    page.keyboard.press("Shift+ArrowLeft")
    assert None not in limits(page)
    for _ in range(100):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#matches")).to_have_text("10 match")
    page.keyboard.press("Escape")
    expect(page.locator("#matches")).to_have_text("")
    assert limits(page) == (None, None)


def test_the_chart_stands_above_events_alone_and_fits_a_phone(spread, open_page):
    page = open_page(viewport=PHONE)
    expect(page.locator(".plot")).to_be_visible()
    assert page.locator(".chart").bounding_box()["height"] < 110
    page.get_by_role("link", name="Requests").click()
    expect(page.locator(".plot")).to_be_hidden()


def test_the_events_of_a_trace_are_shown_together(sample, open_page):
    sample.track("exported_again", "ada", "acme", trace_id=f"{1:032x}", span_id=f"{9:016x}")
    page = open_page()
    page.get_by_role("row", name="exported_again").click()
    page.get_by_role("link", name="Events of this trace").click()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "3")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "10")


def test_a_trace_links_to_the_tracing_that_the_reader_named(sample, open_page):
    page = open_page("#/events/4")
    link = page.get_by_role("link", name="Open the trace")
    expect(link).to_be_hidden()
    page.get_by_text("Link to your tracing").click()
    field = page.get_by_label("Address of a trace")
    field.fill("javascript:alert('{trace_id}')")
    expect(link).to_be_hidden()
    field.fill("https://tracing.example/trace/{trace_id}")
    expect(link).to_have_attribute("href", f"https://tracing.example/trace/{1:032x}")
    page.reload()
    expect(link).to_have_attribute("href", f"https://tracing.example/trace/{1:032x}")
    page.evaluate("localStorage.clear()")


def test_an_entry_of_the_address_stays_in_sight_when_the_chart_comes_in(call, open_page):
    for number in range(40):
        call.track(f"event_{number}")
    page = open_page("#/events/3")
    expect(page.locator(".plot")).to_be_visible()
    active = page.locator('.row[aria-selected="true"]')
    expect(active.locator(".name")).to_have_text("event_2")
    expect(active).to_be_in_viewport(ratio=0.9)
