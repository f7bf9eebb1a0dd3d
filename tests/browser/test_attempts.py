"""An item that is retried is one entry in the list, with its attempts below it."""

from playwright.sync_api import expect


def test_the_latest_attempt_stands_for_all_of_them(api, call, open_page):
    api.answer_next(503, count=2)
    for _ in range(3):
        call.track("created_invoice")
    page = open_page()
    row = page.locator(".row")
    expect(row).to_have_count(1)
    expect(row.locator(".status")).to_have_text("3×201")
    row.click()
    attempts = page.get_by_role("list", name="Attempts").get_by_role("listitem")
    assert [text.split("\n")[1:2] for text in attempts.all_inner_texts()] == [["503"], ["503"], ["201"]]
    attempts.first.get_by_role("link").click()
    expect(page.get_by_role("grid", name="Requests")).to_be_visible()
    expect(page.locator(".row")).to_have_count(1)
    expect(page.locator(".row .attempt")).to_have_text("3×")
    expect(page.locator(".detail-head .badge")).to_have_text("503")  # the attempt that was clicked
    expect(page.locator("nav [data-view=requests] output")).to_have_text("1")


def test_what_somebody_looks_at_follows_its_next_attempt(api, call, open_page):
    api.answer_next(503)
    call.track("created_invoice")
    page = open_page("#/events/1")
    expect(page.locator(".detail-head .badge")).to_have_text("503")
    call.track("created_invoice")
    expect(page.locator(".detail-head .badge")).to_have_text("201")
    expect(page.locator('.row[aria-selected="true"]')).to_have_count(1)
    assert page.url.endswith("#/events/2")


def test_the_same_event_again_is_another_one(call, open_page):
    for _ in range(2):
        call.track("viewed")
    page = open_page()
    expect(page.locator(".row")).to_have_count(2)


def test_attempts_are_one_in_the_timeline_too(api, call, open_page):
    api.answer_next(503, count=2)
    for _ in range(3):
        call.track("created_invoice")
    page = open_page("#/users/u1")
    expect(page.get_by_role("list", name="Timeline").get_by_role("listitem")).to_have_count(1)


def test_attempts_that_were_fetched_later_join_their_item(api, call, open_page):
    api.answer_next(503)
    call.track("created_invoice")
    for number in range(250):  # more than the page loads first
        call.track(f"event_{number}")
    call.track("created_invoice")
    page = open_page()
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", "252")
    page.get_by_role("row", name="created_invoice").click()
    expect(page.get_by_role("list", name="Attempts").get_by_role("listitem")).to_have_count(2)
