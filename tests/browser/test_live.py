"""Whatever arrives is on the page at once, newest first, however much arrives."""

from playwright.sync_api import expect

from journy_track.inspector import Inspector


def rows(page):
    """Return the names of the visible rows, from the top."""
    return page.evaluate(
        "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
        ".map((row) => row.querySelector('.name').textContent)"
    )


def test_an_empty_inspector_says_how_to_point_an_app_here(api, open_page, screenshot):
    page = open_page()
    expect(page.get_by_role("heading", name="Nothing has arrived yet")).to_be_visible()
    lines = page.get_by_test_id("hint").inner_text().splitlines()
    assert lines == [f"export JOURNY_BASE_URL={api.url}", "python your_app.py"]  # without a key
    page.get_by_role("button", name="Copy the lines").click()
    assert page.evaluate("navigator.clipboard.readText()").splitlines() == lines
    screenshot(page, "empty")


def test_what_arrives_appears_without_reload_newest_first(api, call, open_page):
    page = open_page()
    call.track("first")
    expect(page.get_by_role("row", name="first")).to_be_visible()
    call.track("second")
    expect(page.get_by_role("row", name="second")).to_be_visible()
    assert rows(page) == ["second", "first"]
    expect(page.locator("nav [data-view=events] output")).to_have_text("2")
    expect(page.locator("#empty")).to_be_hidden()


def test_what_was_there_before_is_shown_and_older_ones_are_fetched(api, call, open_page):
    for number in range(700):
        call.track(f"event_{number}")
    page = open_page()
    grid = page.get_by_role("grid", name="Events")
    expect(grid).to_have_attribute("aria-rowcount", "701")
    grid.focus()
    page.keyboard.press("End")
    expect(page.get_by_role("row", name="event_0 ")).to_be_visible()
    assert page.locator(".row").count() < 60


def test_who_reads_further_down_is_not_moved_and_told_of_newer_ones(api, call, open_page):
    for number in range(100):
        call.track(f"event_{number}")
    page = open_page()
    expect(page.get_by_role("row", name="event_99")).to_be_visible()
    page.locator("#grid").evaluate("grid => { grid.scrollTop = 36 * 20; }")
    row = page.get_by_role("row", name="event_70 ")
    before = row.bounding_box()
    for number in range(3):
        call.track(f"newer_{number}")
    newer = page.get_by_role("button", name="3 newer")
    expect(newer).to_be_visible()
    assert row.bounding_box() == before
    newer.click()
    expect(page.get_by_role("row", name="newer_2")).to_be_visible()
    expect(newer).to_be_hidden()


def test_the_list_can_be_held(api, call, open_page):
    page = open_page()
    call.track("before")
    expect(page.get_by_role("row", name="before")).to_be_visible()
    page.locator("#live").click()
    call.track("meanwhile")
    expect(page.locator("#live")).to_have_text("Held, 1 new")
    assert rows(page) == ["before"]
    page.locator("#live").click()
    expect(page.get_by_role("row", name="meanwhile")).to_be_visible()
    assert rows(page) == ["meanwhile", "before"]


def test_a_reset_empties_the_page(api, sample, open_page):
    page = open_page("#/events/5")
    expect(page.get_by_role("heading", name="exported_report")).to_be_visible()
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Forget", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing has arrived yet")).to_be_visible()
    expect(page.locator("#detail")).to_be_hidden()
    assert api.requests == []
    sample.track("anew")
    expect(page.get_by_role("row", name="anew")).to_be_visible()


def test_the_page_comes_back_with_the_inspector(open_page, call):
    with Inspector() as api:
        call.url = api.url
        page = open_page(url=api.url)
        call.track("before")
        expect(page.get_by_role("row", name="before")).to_be_visible()
        api.stop()
        expect(page.locator("#live")).to_have_text("Reconnecting")
        api.start()
        expect(page.locator("#live")).to_have_text("Live")
        call.track("after")
        expect(page.get_by_role("row", name="after")).to_be_visible()
        assert rows(page) == ["after", "before"]
        page.close()
