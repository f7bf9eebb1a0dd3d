"""What the app did not send is listed among the events, with the reason, the place in the code and the remedy."""

import pytest
from playwright.sync_api import expect

from .conftest import PHONE, Caller


@pytest.fixture
def drop(call: Caller):
    def report(name="signed_in", reason="no_identity", place="shop/views.py:31", **more):
        one = {"kind": "dropped", "name": name, "reason": reason, "place": place, "text": "set one with user="} | more
        response = call.session.post(
            f"{call.url}/__inspector/reports",
            json={"reports": [one]},
            headers={"X-Inspector-Control": "1"},
            timeout=5,
        )
        assert response.status_code == 201

    return report


def names(page):
    return page.evaluate(
        "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
        ".map((row) => row.querySelector('.name').textContent)"
    )


def test_a_first_event_that_was_dropped_is_seen_at_once(drop, open_page):
    page = open_page()
    expect(page.get_by_role("heading", name="Nothing has arrived yet")).to_be_visible()
    drop()
    row = page.get_by_role("row", name="signed_in")
    expect(row).to_contain_text("no identity, shop/views.py:31")
    expect(row).to_contain_text("dropped")
    expect(page.locator("#unsent")).to_have_text("1")
    expect(page.locator("nav [data-view=events] output")).to_have_text("")


def test_it_stands_where_it_happened_among_the_events(call, drop, open_page):
    call.track("before")
    drop("lost")
    call.track("after")
    page = open_page()
    expect(page.get_by_role("row", name="lost")).to_be_visible()
    assert names(page) == ["after", "lost", "before"]
    drop("late")
    expect(page.get_by_role("row", name="late")).to_be_visible()
    assert names(page) == ["late", "after", "lost", "before"]


def test_its_details_have_the_reason_the_place_and_the_remedy(drop, open_page):
    drop(values={"plan": "pro"})
    page = open_page("#/events/r1")
    detail = page.locator("#detail")
    expect(page.get_by_role("heading", name="signed_in")).to_be_visible()
    expect(detail).to_contain_text("set one with user=")
    expect(detail.get_by_role("table", name="Values")).to_contain_text("pro")
    page.get_by_role("button", name="Copy the place").click()
    assert page.evaluate("navigator.clipboard.readText()") == "shop/views.py:31"


def test_it_is_found_by_kind_reason_and_among_the_failures(call, drop, open_page):
    call.track("fine")
    drop("lost")
    for address in ("?kind=unsent", "?failed=1", "?q=no+identity", "?q=views.py:31", "?event=lost"):
        page = open_page(address)
        expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "2")
        assert names(page) == ["lost"]
    page.get_by_role("link", name="Requests").click()
    expect(page.get_by_role("row", name="lost")).to_have_count(0)


def test_on_a_phone_the_reason_and_the_place_are_in_sight(drop, open_page):
    drop()
    page = open_page(viewport=PHONE)
    box = page.get_by_text("no identity, shop/views.py:31").bounding_box()
    assert box["x"] + box["width"] < 300


def test_markup_in_a_report_is_text(drop, open_page):
    drop("<img src=x onerror=document.title='taken'>", text="<b>bold</b>")
    page = open_page("#/events/r1")
    expect(page.locator("#detail .wrong")).to_have_text("<b>bold</b>")
    assert "taken" not in page.title()
