"""Batches on the page: one request, whose messages are each shown as an event, an upsert and so on."""

import pytest
from playwright.sync_api import expect

from .conftest import DESK, TABLET

PATH = "/backend/v1/batch"


def message(type_, id_, **more):
    return {"type": type_, "messageId": id_, "timestamp": "2024-05-17T09:30:00.000Z", "context": {}} | more


def track(number, **more):
    return message("track", f"m{number}", event=f"event_{number}", userId="ada", properties={"n": number}) | more


@pytest.fixture
def post(api, call):
    def send(*messages):
        return call(PATH, {"batch": list(messages), "writeKey": "write-key-for-tests"})

    return send


@pytest.fixture
def batches(api, post):
    """One of each: new messages of all types, a duplicate, an invalid one, one with an invalid value, and a retry."""
    post(
        message("identify", "i1", userId="ada", traits={"email": "ada@acme.example", "plan": "pro"}),
        message("group", "g1", groupId="acme", anonymousId="acme", traits={"seats": 3}),
        message("group", "g2", groupId="acme", userId="ada"),
        message("page", "p1", userId="ada", name="Pricing"),
    )
    api.answer_next(503)
    for _ in range(2):
        post(track(1), track(2, context={"groupId": "acme"}), track(3, properties={"n": 3, "cart": {}}))
    post(track(1), track(4, event=None))


@pytest.mark.parametrize(("viewport", "name"), [(DESK, "desk"), (TABLET, "tablet")])
def test_the_messages_of_a_batch_are_listed_among_the_events(batches, call, open_page, screenshot, viewport, name):
    call.track("over_rest", "ada")
    page = open_page(viewport=viewport)
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="event_1")).to_have_count(2)
    names = [row.split("\n")[1] for row in rows.all_inner_texts() if "\n" in row]
    assert sorted(names[1:]) == sorted(["over_rest", "no name", "event_1", "event_3", "event_2", "event_1"])
    expect(rows.filter(has_text="duplicate")).to_have_count(1)
    expect(rows.filter(has_text="ignored")).to_have_count(1)
    expect(rows.filter(has_text="1 left out")).to_have_count(1)
    expect(rows.filter(has_text="503")).to_have_count(0)
    expect(rows.filter(has_text="2×")).to_have_count(3)  # the messages of the batch that was sent again
    screenshot(page, f"batch-events-{name}")


def test_a_batch_is_one_request_that_lists_its_messages(batches, open_page, screenshot):
    page = open_page("#/requests")
    rows = page.get_by_role("row").filter(has_text="Batch")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="2×")).to_have_count(1)
    rows.filter(has_text="1 ignored").click()
    expect(page.locator("#detail")).to_contain_text("1 already known by message ID")
    expect(page.get_by_role("list", name="Messages").get_by_role("listitem")).to_have_count(2)
    page.goto(page.url.replace("/4", "/1"))
    messages = page.get_by_role("list", name="Messages")
    expect(messages.locator("b").first).to_have_text("Identify")
    assert messages.locator("b").all_inner_texts() == ["Identify", "Group", "Group", "Page"]
    messages.get_by_role("link", name="Identify").click()
    expect(page.get_by_role("heading", name="Identify")).to_be_visible()
    expect(page.get_by_role("table", name="Traits")).to_contain_text("ada@acme.example")
    expect(page.locator("#detail")).to_contain_text("message 1 of 4")
    expect(page.locator(".row.active")).to_contain_text("4 messages")
    screenshot(page, "batch-message")


def test_what_is_wrong_with_a_message_is_told_where_it_stands(batches, open_page):
    page = open_page()
    page.get_by_role("row").filter(has_text="1 left out").click()
    expect(page.locator('.note.warn[data-field="properties.cart"]')).to_contain_text("found an object")
    page.get_by_role("row").filter(has_text="ignored").click()
    expect(page.locator('.note.bad[data-field="event"]')).to_contain_text("This field is required.")
    assert page.url.endswith("#/events/4.2")


def test_messages_stand_in_the_timelines_of_their_user_and_account(batches, open_page):
    page = open_page("#/users/ada")
    timeline = page.get_by_role("list", name="Timeline")
    expect(timeline.locator("a > b").first).to_have_text("event_1")
    titles = timeline.locator("a > b").all_inner_texts()
    assert titles[-3:] == ["Page", "Group", "Identify"]
    page.goto(page.url.replace("#/users/ada", "#/accounts/acme"))
    expect(timeline.locator("a > b").last).to_have_text("Group")
    assert timeline.locator("a > b:first-child").all_inner_texts() == ["event_2", "Group", "Group"]


def test_a_batch_passes_a_filter_with_any_of_its_messages(batches, open_page):
    page = open_page("?event=event_2#/requests")
    rows = page.get_by_role("row").filter(has_text="Batch")
    expect(rows).to_have_count(1)
    page.locator('[name="event"]').fill("")
    page.locator('[name="kind"]').select_option("user")
    expect(rows).to_have_count(1)
    page.locator('[name="kind"]').select_option("batch")
    expect(rows).to_have_count(3)
    page.locator('[name="event"]').fill("event_2")
    expect(rows).to_have_count(1)
    page.locator('[name="event"]').fill("")
    page.locator('[name="q"]').fill("ignored")
    expect(rows).to_have_count(1)


def test_of_thousands_of_messages_the_newest_are_listed(api, post, open_page):
    for batch in range(6):
        post(*(track(number) for number in range(batch * 2500, batch * 2500 + 2500)))
    page = open_page("?q=event_#/events")
    expect(page.locator("#matches")).to_have_text("10,000 match")
    expect(page.locator('.row[aria-rowindex="2"]')).to_contain_text("event_14999")
    page.goto(page.url.replace("#/events", "#/requests"))
    expect(page.get_by_role("row").filter(has_text="2,500 messages").first).to_be_visible()
    post(track(20_000))
    page.locator('[name="q"]').fill("")
    expect(page.get_by_role("row").filter(has_text="2,500 messages")).to_have_count(6)
    page.goto(f"{api.url}/#/events")
    expect(page.locator('.row[aria-rowindex="2"]')).to_contain_text("event_20000")


def test_a_fault_is_ordered_for_one_message(api, post, open_page):
    page = open_page()
    page.get_by_role("button", name="Faults").click()
    page.locator('[name="status"]').fill("400")
    page.locator('[name="containing"]').fill('"m7"')
    expect(page.locator("#faults-script")).to_contain_text("containing")
    page.get_by_role("button", name="Set faults").click()
    expect(page.locator("#ordered")).to_contain_text('with "m7" in the body')
    assert [post(track(number)).status_code for number in (6, 7, 7)] == [200, 400, 200]


@pytest.fixture
def split(api, post):
    """Four messages in a batch that is refused as too large, sent again in halves, one of them twice."""
    api.answer_next(413)
    post(*(track(number) for number in range(4)))
    post(track(0), track(1))
    api.answer_next(503)
    for _ in range(2):
        post(track(2), track(3))


def test_the_parts_of_a_batch_that_was_split_are_shown_as_related(split, open_page):
    page = open_page("#/requests")
    rows = page.locator(".row")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="split")).to_have_count(1)
    expect(rows.filter(has_text="part")).to_have_count(2)
    expect(rows.filter(has_text="2×")).to_have_count(1)
    expect(page.locator("nav [data-view=requests] output")).to_have_text("3")
    rows.filter(has_text="413").click()
    related = page.get_by_role("list", name="Related batches").get_by_role("listitem")
    expect(related).to_have_count(3)
    assert [text.split("\n")[1:] for text in related.all_inner_texts()] == [
        ["413", "4 track"],
        ["200", "2 track"],
        ["200", "2 track"],
    ]
    related.last.get_by_role("link").click()
    expect(page.get_by_role("list", name="Attempts").get_by_role("listitem")).to_have_count(2)
    expect(related).to_have_count(3)


def test_a_message_that_comes_again_in_a_part_is_one_event(split, open_page):
    page = open_page()
    expect(page.locator(".row")).to_have_count(4)
    assert sorted(page.locator(".row .status").all_inner_texts()) == ["2×200", "2×200", "3×200", "3×200"]
    page.get_by_role("row", name="event_3").click()
    attempts = page.get_by_role("list", name="Attempts").get_by_role("listitem")
    expect(attempts).to_have_count(3)
    attempts.first.get_by_role("link").click()
    expect(page.locator(".detail-head .badge")).to_have_text("413")


def test_a_message_that_is_looked_at_follows_its_next_batch(api, post, open_page):
    api.answer_next(503)
    post(track(1), track(2))
    page = open_page("#/events/1.2")
    expect(page.locator(".detail-head .badge")).to_have_text("503")
    post(track(1), track(2))
    expect(page.locator(".detail-head .badge")).to_have_text("200")
    assert page.url.endswith("#/events/2.2")
    expect(page.locator(".row")).to_have_count(2)
