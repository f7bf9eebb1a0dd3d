"""The journey of a user or an account: sessions in the timeline, and a funnel over selected events."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from .conftest import Caller

START = datetime(2024, 5, 17, 9, 0, tzinfo=UTC)


@pytest.fixture
def at(call: Caller):
    """Tracks an event that happened the given number of minutes after the start."""

    def track(minutes, name="viewed", user="ada", account=None):
        named = {"user": user if isinstance(user, dict) else {"userId": user}}
        named |= {"account": {"accountId": account}} if account else {}
        moment = (START + timedelta(minutes=minutes)).isoformat()
        assert call("/track", {"identification": named, "name": name, "triggeredAt": moment}).status_code == 201

    return track


def headings(page):
    return [text.partition(" · ")[2] for text in page.locator(".timeline .session").all_inner_texts()]


def test_a_timeline_has_sessions_that_a_pause_of_30_minutes_ends(at, open_page):
    for minutes in (0, 29, 59, 90, 200):  # 59 and 90 are 31 minutes apart
        at(minutes)
    page = open_page("#/users/ada")
    expect(page.locator(".timeline .session")).to_have_count(3)
    assert headings(page) == ["1 event", "1 event", "3 events"]
    expect(page.locator("#detail")).to_contain_text("3 sessions: a new one begins after 30 minutes without anything")


def test_an_accounts_sessions_count_its_users(at, open_page):
    at(0, user="ada", account="acme")
    at(10, user="grace", account="acme")
    at(100, user="grace", account="acme")
    page = open_page("#/accounts/acme")
    expect(page.locator(".timeline .session")).to_have_count(2)
    assert headings(page) == ["1 event, 1 user", "2 events, 2 users"]


@pytest.fixture
def shop(at):
    """Four users: three sign up, two of those look around, and one of those buys. The fourth buys before them."""
    for number, user in enumerate(["ada", "grace", "alan"]):
        at(number, "signed_up", user, "acme" if user == "ada" else "globex")
    at(10, "viewed", "ada", "acme")
    at(11, "viewed", "grace", "globex")
    at(12, "bought", "ada", "acme")
    at(-5, "bought", "alan", "globex")
    at(20, "viewed", "kay", "globex")
    return at


def users_of(page):
    return page.locator(".steps .users").all_inner_texts()


def test_a_funnel_counts_the_users_that_did_one_thing_after_the_other(shop, open_page):
    page = open_page("#/funnel")
    for name in ("signed_up", "viewed", "bought"):
        page.locator(".choices").get_by_role("button", name=name).click()
    steps = page.get_by_role("list", name="Steps")
    expect(steps.locator(":scope > li")).to_have_count(3)
    assert users_of(page) == ["3 users", "2 users", "1 user"]
    expect(steps).to_contain_text("67 % of them")
    expect(steps).to_contain_text("50 % of the step before, 33 % of the first")
    assert parse_qs(urlsplit(page.url).query)["step"] == ["signed_up", "viewed", "bought"]
    page.reload()
    expect(steps.locator(":scope > li")).to_have_count(3)
    shop(30, "bought", "grace", "globex")
    expect(page.locator(".steps .users").last).to_have_text("2 users")


def test_a_funnel_names_who_goes_no_further(shop, open_page):
    page = open_page("?step=signed_up&step=viewed&step=bought#/funnel")
    page.get_by_text("1 goes no further").first.click()
    page.locator(".steps").get_by_role("link", name="alan").click()
    expect(page.get_by_role("heading", name="alan")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query)["step"] == ["signed_up", "viewed", "bought"]


def test_a_funnel_can_be_of_one_account(shop, open_page):
    page = open_page("?step=signed_up&step=viewed#/accounts/globex")
    page.locator("#detail").get_by_role("link", name="Funnel").click()
    expect(page.locator(".steps .users")).to_have_text(["2 users", "1 user"])
    page.locator('[name="account"]').fill("=acme")
    expect(page.locator(".steps .users")).to_have_text(["1 user", "1 user"])


def test_a_user_who_is_named_by_id_and_by_email_is_one(at, open_page):
    at(0, "signed_up", {"userId": "ada", "email": "ada@acme.example"})
    at(1, "viewed", {"email": "ada@acme.example"})
    at(2, "bought", {"userId": "ada"})
    page = open_page("?step=signed_up&step=viewed&step=bought#/funnel")
    expect(page.locator(".steps .users")).to_have_text(["1 user", "1 user", "1 user"])


def test_what_was_refused_counts_in_no_funnel(api, call, at, open_page):
    at(0, "signed_up")
    api.answer_next(503)
    call.track("signed_up", "grace")
    page = open_page("?step=signed_up#/funnel")
    expect(page.locator(".steps .users")).to_have_text(["1 user"])


def test_a_funnel_is_made_and_unmade_by_keyboard(shop, open_page):
    page = open_page()
    page.keyboard.press("6")
    expect(page.get_by_role("heading", name="Funnel")).to_be_visible()
    page.locator("#skip").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_contain_text("signed_up")
    page.keyboard.press("Enter")
    expect(page.locator(".steps .users")).to_have_text(["3 users"])
    page.keyboard.press("Enter")  # the focus stayed where it was
    expect(page.locator(".steps > li")).to_have_count(2)
    page.go_back()
    expect(page.locator(".steps > li")).to_have_count(1)
    page.get_by_role("button", name="Remove the step signed_up").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".steps")).to_have_count(0)
