"""The page used by keyboard, on a phone, and with a screen reader."""

import json

import pytest
from playwright.sync_api import expect

from .conftest import PHONE


def active(page):
    """Return the text of the active row, as a screen reader gets it."""
    return page.evaluate(
        "document.getElementById(document.getElementById('grid').getAttribute('aria-activedescendant'))"
        "?.querySelector('.name').textContent"
    )


@pytest.fixture
def page(call, open_page):
    for number in range(60):
        call.track(f"event_{number:02}")
    page = open_page()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "61")
    return page


def test_j_and_k_move_and_enter_opens_and_escape_closes(page):
    page.keyboard.press("j")
    assert active(page) == "event_59"
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("k")
    assert active(page) == "event_57"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="event_57")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="event_56")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    assert active(page) == "event_56"
    assert page.evaluate("document.activeElement.id") == "grid"


def test_the_active_row_stays_in_sight(page):
    for _ in range(40):
        page.keyboard.press("j")
    assert active(page) == "event_20"
    row, grid = page.get_by_role("row", name="event_20").bounding_box(), page.locator("#grid").bounding_box()
    assert grid["y"] <= row["y"] <= grid["y"] + grid["height"] - row["height"] + 1
    page.keyboard.press("Home")
    assert active(page) == "event_59"
    page.keyboard.press("End")
    assert active(page) == "event_00"


def test_the_active_row_stays_the_same_when_others_arrive(page, call):
    page.keyboard.press("j")
    call.track("newer")
    expect(page.get_by_role("row", name="newer")).to_be_visible()
    assert active(page) == "event_59"


def test_a_slash_searches_and_escape_leaves(page):
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("event_1/j")  # inside a text field, keys are text and not shortcuts
    expect(page.get_by_label("Search")).to_have_value("event_1/j")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search")).to_have_value("")
    page.keyboard.type("event_1")
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "11")
    page.keyboard.press("Enter")
    assert active(page) == "event_19"
    page.keyboard.press("j")
    assert active(page) == "event_18"


def test_everything_can_be_reached_with_tab_and_the_focus_is_seen(page):
    reached = []
    for _ in range(25):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "[document.activeElement.id || document.activeElement.name || document.activeElement.dataset.view || '',"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.append(name)
        assert outline != "none" or name == "grid", reached  # the list marks its active row instead
    for name in (
        "skip",
        "events",
        "budget",
        "live",
        "open-faults",
        "export",
        "open-reset",
        "q",
        "user",
        "kind",
        "failed",
        "grid",
    ):
        assert name in reached


def test_everything_has_a_name_and_a_role(page):
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="event_59")).to_be_visible()
    expect(page.get_by_role("navigation", name="Views").get_by_role("link")).to_have_count(6)
    expect(page.get_by_role("link", name="Events", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("search", name="Filter")).to_be_visible()
    expect(page.get_by_role("columnheader")).to_have_count(6)
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, select')]"
        ".filter((one) => one.checkVisibility() && !one.closest('dialog:not([open])'))"
        ".filter((one) => !(one.ariaLabel || one.title || one.innerText.trim() || one.labels?.length))"
        ".map((one) => one.outerHTML)"
    )
    assert nameless == []


def test_faults_are_ordered_and_forgotten_on_the_page(api, call, open_page, screenshot):
    page = open_page()
    page.get_by_role("button", name="Faults").click()
    dialog = page.get_by_role("dialog", name="Faults")
    dialog.get_by_role("button", name="Maintenance").click()
    expect(dialog.get_by_role("button", pressed=True)).to_have_text("Maintenance")
    dialog.get_by_label("Requests").fill("2")
    expect(dialog.get_by_role("button", pressed=True)).to_have_count(0)
    dialog.get_by_role("button", name="Set faults").click()
    expect(dialog).to_contain_text("2 × status 503")
    expect(page.locator("#pending")).to_have_text("2")
    assert call.track().status_code == 503
    expect(dialog).to_contain_text("1 × status 503")
    screenshot(page, "faults")
    dialog.get_by_text("From a script").click()
    dialog.get_by_role("button", name="Copy the command").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -X POST http://127.0.0.1")
    assert json.loads(dialog.locator("#faults-script").inner_text().partition("-d '")[2][:-1])["status"] == 503
    dialog.get_by_role("button", name="Clear faults").click()
    expect(dialog).to_contain_text("No fault is set")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert call.track().status_code == 201


def test_a_fault_that_makes_no_sense_is_told(open_page):
    page = open_page()
    page.get_by_role("button", name="Faults").click()
    dialog = page.get_by_role("dialog", name="Faults")
    dialog.get_by_label("Status").fill("299")
    dialog.get_by_label("Delay").fill("0.5")
    dialog.get_by_role("button", name="Set faults").click()
    expect(dialog).to_contain_text("1 × status 299, after 0.5 s")
    dialog.get_by_label("Status").evaluate("input => { input.removeAttribute('pattern'); input.value = '100'; }")
    dialog.get_by_role("button", name="Set faults").click()
    expect(dialog.get_by_role("alert")).to_contain_text("status: Expected a status from 200 to 599")


def test_on_a_phone_the_details_cover_the_list_and_there_is_a_way_back(sample, open_page):
    page = open_page(viewport=PHONE)
    page.get_by_role("row", name="signed_in").first.click()
    detail = page.locator("#detail")
    expect(detail).to_be_visible()
    assert detail.bounding_box()["width"] == 390
    page.get_by_role("button", name="Close the details").click()
    expect(detail).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Only failures").check()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "3")
    nav = page.get_by_role("navigation", name="Views").bounding_box()
    assert nav["y"] + nav["height"] == pytest.approx(844, abs=1)
    page.get_by_role("link", name="Budget").click()
    expect(page.locator(".tiles")).to_be_visible()


def test_everything_is_exported(sample, open_page):
    page = open_page()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert len(lines) == 19


def test_a_question_mark_shows_the_keys_and_digits_choose_the_view(page):
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("search")
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    for key, view in (("4", "Requests"), ("2", "Users"), ("1", "Events")):
        page.keyboard.press(key)
        expect(page.get_by_role("grid", name=view)).to_be_visible()
    page.keyboard.press("h")
    expect(page.locator("#live")).to_have_text("Held")
    page.keyboard.press("h")
    expect(page.locator("#live")).to_have_text("Live")
