"""The filter: by text, event, user, account, kind and failure; it is kept in the address."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect


def wait_for(page, number):
    expect(page.locator("#grid")).to_have_attribute("aria-rowcount", str(number + 1))


ADDRESSES = [
    ("", "events", 8),
    ("", "requests", 19),
    ("q=REPORT", "events", 3),
    ("q=acme.example", "requests", 4),
    ("event=signed", "events", 3),
    ("event=%3Dsigned", "events", 0),
    ("user=a", "events", 7),
    ("user=%3Dada", "events", 2),
    ("account=acme", "events", 4),
    ("kind=membership", "requests", 3),
    ("kind=user&user=ada", "requests", 2),
    ("failed=1", "events", 2),
    ("failed=1&account=globex", "events", 1),
    ("q=no+such+thing", "events", 0),
]


def test_the_address_filters(sample, open_page):
    page = open_page()
    for query, view, number in ADDRESSES:
        page.goto(f"{sample.url}/?{query}#/{view}")
        expect(page.locator("#grid"), f"{query} in {view}").to_have_attribute("aria-rowcount", str(number + 1))
        expect(page.locator(".none")).to_be_visible(visible=number == 0)


def test_what_is_typed_filters_and_stands_in_the_address(sample, open_page, screenshot):
    page = open_page()
    wait_for(page, 8)
    page.get_by_label("Search").fill("report")
    wait_for(page, 3)
    page.get_by_role("combobox", name="Event", exact=True).fill("exported")
    page.get_by_role("combobox", name="User", exact=True).fill("grace")
    page.get_by_role("combobox", name="Account", exact=True).fill("globex")
    wait_for(page, 1)
    page.get_by_label("Kind").select_option("Events")
    expect(page.locator("#matches")).to_have_text("1 matches")
    page.get_by_label("Only failures").check()
    wait_for(page, 0)
    assert parse_qs(urlsplit(page.url).query) == {
        "q": ["report"],
        "event": ["exported"],
        "user": ["grace"],
        "account": ["globex"],
        "kind": ["event"],
        "failed": ["1"],
    }
    page.reload()
    wait_for(page, 0)
    expect(page.get_by_role("combobox", name="User", exact=True)).to_have_value("grace")
    page.get_by_role("button", name="Clear").click()
    wait_for(page, 8)
    assert urlsplit(page.url).query == ""


def test_words_are_typed_with_their_spaces(sample, open_page):
    page = open_page()
    page.keyboard.press("/")
    page.keyboard.type("found an ")
    expect(page.get_by_label("Search")).to_have_value("found an ")
    wait_for(page, 0)


def test_an_address_that_was_mistyped_shows_the_view(sample, open_page):
    page = open_page("#/users/%")
    wait_for(page, 3)
    expect(page.get_by_role("heading", name="%")).to_be_visible()


def test_what_arrives_passes_the_filter_or_stays_out(sample, open_page):
    page = open_page("?failed=1")
    wait_for(page, 2)
    sample.track("fine")
    sample("/track", {"name": "wrong"})
    wait_for(page, 3)
    expect(page.get_by_role("row", name="wrong")).to_be_visible()
    expect(page.get_by_role("row", name="fine")).to_have_count(0)


def test_the_filter_goes_along_from_view_to_view(sample, open_page):
    page = open_page("?failed=1")
    page.get_by_role("link", name="Requests").click()
    expect(page.get_by_role("grid", name="Requests")).to_be_visible()
    wait_for(page, 2)
    page.go_back()
    expect(page.get_by_role("grid", name="Events")).to_be_visible()
    assert urlsplit(page.url).query == "failed=1"


def test_users_and_accounts_can_be_searched(sample, open_page):
    page = open_page("#/users")
    wait_for(page, 3)
    page.get_by_label("Search").fill("globex")
    wait_for(page, 1)
    page.get_by_role("link", name="Accounts").click()
    wait_for(page, 1)


def test_names_that_were_seen_are_suggested(sample, open_page):
    page = open_page()
    wait_for(page, 8)
    page.get_by_role("combobox", name="Event", exact=True).focus()
    values = "list => [...list.options].map((option) => option.value)"
    assert page.locator("#events-seen").evaluate(values) == ["created_invoice", "exported_report", "signed_in"]
    assert page.locator("#accounts-seen").evaluate(values) == ["acme", "globex"]


SEARCHES = [
    ("ada report", 1),
    ("report ada", 1),
    ("rows=100", 1),
    ("rows=10", 0),
    ("rows=100 grace", 1),
    ("rows=100 ada", 0),
    ("user=ada", 2),
    ("account=acme event=signed_in", 2),
    ("status=400", 1),
    ('"exported_report"', 3),
    ("channel=web alan", 1),
    ("rows=", 0),
]


@pytest.mark.parametrize(("text", "number"), SEARCHES, ids=[text for text, _ in SEARCHES])
def test_several_words_and_keys_with_values_are_searched(sample, open_page, text, number):
    page = open_page()
    wait_for(page, 8)
    page.get_by_label("Search").fill(text)
    wait_for(page, number)


def test_hits_are_marked(sample, open_page):
    page = open_page("?q=ada+report")
    wait_for(page, 1)
    marked = page.evaluate("[...CSS.highlights.get('hits')].map((range) => range.toString())")
    assert marked == ["report", "ada"]
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate("CSS.highlights.get('hits').size") == 0
