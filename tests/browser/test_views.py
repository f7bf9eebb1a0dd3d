"""Each view and what it shows. Nothing that arrived is ever rendered as markup."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from journy_track.inspector import Inspector

from .conftest import DESK, PHONE, TABLET, Caller

HOSTILE = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>"


def facts(page):
    return dict(
        page.evaluate(
            "[...document.querySelectorAll('.facts > div')].map((one) => [...one.children].map((c) => c.innerText))"
        )
    )


def test_an_event_is_shown_with_all_that_belongs_to_it(api, sample, open_page):
    page = open_page()
    page.get_by_role("row", name="signed_in").first.click()
    expect(page.get_by_role("heading", name="signed_in")).to_be_visible()
    shown = facts(page)
    assert (shown["User"], shown["Account"], shown["Trace ID"]) == ("alan", "acme", f"{3:032x}")
    assert shown["Request ID"] == next(
        r.request_id for r in api.requests if r.number == int(page.url.rpartition("/")[2])
    )
    page.get_by_role("button", name="Copy Trace ID").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"{3:032x}"
    table = page.get_by_role("table", name="Metadata")
    expect(table).to_contain_text("channel")
    expect(table).not_to_contain_text("trace_id")


def test_a_request_is_copied_as_curl_and_as_python(sample, open_page):
    page = open_page("#/requests/4")
    page.get_by_role("button", name="Copy as curl").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -X POST http://127.0.0.1")
    page.get_by_role("button", name="Copy as Python").click()
    assert "requests.request(" in page.evaluate("navigator.clipboard.readText()")


def test_a_wrong_field_is_told_where_it_stands(sample, open_page, screenshot):
    page = open_page("?failed=1")
    page.get_by_role("row").filter(has_text="400").click()
    note = page.locator('.note[data-field="identification.user.email"]')
    expect(note).to_contain_text("Expected an email address.")
    before = note.evaluate("note => note.previousElementSibling.textContent")
    assert '"email": "nobody"' in before
    expect(page.locator('.missing[data-field="name"]')).to_be_visible()
    expect(page.locator('.note[data-field="name"]')).to_contain_text("This field is required.")
    expect(page.get_by_role("table", name="Metadata")).to_contain_text("found an object")
    screenshot(page, "wrong-fields")


def test_a_property_that_was_not_taken_is_told_as_well(sample, open_page):
    page = open_page("?kind=user&user=ada#/requests")
    page.get_by_role("row").filter(has_text="1 rejected").click()
    expect(page.locator('.note.warn[data-field="properties.mrr"]')).to_contain_text(
        "Expected a number but found a string."
    )


def test_a_user_has_properties_accounts_devices_and_a_timeline(sample, open_page):
    page = open_page("#/users")
    page.get_by_role("row", name="Ada").click()
    expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    expect(page.get_by_role("table", name="Properties")).to_contain_text("Team")
    expect(page.locator("#detail").get_by_role("link", name="acme", exact=True)).to_be_visible()
    expect(page.locator("#detail")).to_contain_text("device-of-ada")
    timeline = page.get_by_role("list", name="Timeline")
    titles = timeline.locator("b").all_inner_texts()
    assert titles == ["Upsert user", "Link device", "exported_report", "signed_in", "Add users", "Upsert user"]
    sample.track("signed_out", "ada", "acme")
    expect(timeline.locator("b").first).to_have_text("signed_out")
    timeline.get_by_role("link", name="signed_out").click()
    expect(page.get_by_role("grid", name="Events")).to_be_visible()
    expect(page.get_by_role("heading", name="signed_out")).to_be_visible()


def test_an_account_has_members_who_are_links(sample, open_page):
    page = open_page("#/accounts/acme")
    members = page.locator("#detail").get_by_role("link", name="@acme.example")
    expect(members).to_have_count(2)
    expect(page.get_by_role("list", name="Timeline").get_by_role("listitem")).to_have_count(8)
    members.first.click()
    expect(page.get_by_role("grid", name="Users")).to_be_visible()
    expect(page.get_by_role("heading", name="Ada")).to_be_visible()


def test_a_user_who_is_deleted_leaves_the_list(sample, open_page):
    page = open_page("#/users")
    expect(page.get_by_role("row", name="Grace")).to_be_visible()
    sample("/users", {"identification": {"userId": "grace"}}, method="DELETE")
    expect(page.get_by_role("row", name="Grace")).to_have_count(0)
    expect(page.locator("nav [data-view=users] output")).to_have_text("2")


def test_requests_show_attempts_latency_and_size(sample, open_page):
    sample.track("created_invoice", "grace", "globex", amount=249.5)
    page = open_page("#/requests")
    first = page.get_by_role("row", name="created_invoice").filter(has_text="201")
    expect(first.locator(".attempt")).to_have_text("2×")
    expect(first.locator(".latency")).to_contain_text("ms")
    expect(first.locator(".size")).to_contain_text("B")


def test_a_repetition_is_seen_on_a_phone_too(sample, open_page):
    sample.track("created_invoice", "grace", "globex", amount=249.5)
    page = open_page("#/requests", viewport=PHONE)
    row = page.locator(".row").filter(has_text="created_invoice")
    expect(row).to_have_count(1)
    expect(row.filter(has_text="201").locator(".attempt")).to_be_visible()
    expect(page.locator(".row").filter(has_text="signed_in").first.locator(".attempt")).to_be_hidden()


ADDRESSES = [("events/13", "13"), ("requests/7", "7"), ("users/u1", "u1"), ("accounts/a1", "a1")]


@pytest.mark.parametrize(("address", "number"), ADDRESSES, ids=[address for address, _ in ADDRESSES])
def test_an_address_marks_its_row_and_brings_it_into_sight(call, open_page, address, number):
    for place in range(250):  # more than the page loads first
        call.track(f"event_{place + 1}", f"u{place}", f"a{place}")
    page = open_page(f"#/{address}")
    name = number if number[0] in "ua" else f"event_{number}"
    for _ in range(2):
        active = page.locator('.row[aria-selected="true"]')
        expect(active.locator(".name")).to_have_text(name)
        row, grid = active.bounding_box(), page.locator("#grid").bounding_box()
        assert grid["y"] <= row["y"] <= grid["y"] + grid["height"] - row["height"]
        page.reload()


def test_a_time_in_the_timeline_stays_in_one_line_beside_a_long_name(call, open_page):
    call.track("invited a colleague to a project whose name is longer than the panel in which it is shown is wide")
    call.track("short")
    page = open_page("#/users/u1")
    times = page.get_by_role("list", name="Timeline").locator("time")
    expect(times).to_have_count(2)
    assert len({times.nth(place).bounding_box()["height"] for place in range(2)}) == 1


def test_the_page_has_a_heading_for_readers_of_the_screen(call, open_page):
    expect(open_page().get_by_role("heading", level=1)).to_have_text("journy inspector")


def test_every_key_of_the_budget_can_be_chosen(api, open_page):
    for key, count in (("short", 3), ("brief", 1), ("a-long-key-0001", 2)):
        caller = Caller(api.url)
        caller.session.headers["X-Api-Key"] = key
        with caller.session:
            for _ in range(count):
                caller.track()
    page = open_page("#/budget")
    keys = page.get_by_label("Key", exact=True)
    expect(keys.locator("option")).to_have_text(["Key …0001", "Key … (no. 2)", "Key … (no. 1)"])
    expect(keys.locator("option:checked")).to_have_text("Key … (no. 1)")
    remaining = page.locator(".tiles b").first
    for label, left in (("Key … (no. 2)", 99_999), ("Key …0001", 99_998), ("Key … (no. 1)", 99_997)):
        keys.select_option(label)
        expect(remaining).to_have_text(f"{left:,}")


def test_the_legend_names_what_is_drawn(api, call, open_page):
    call.track()
    page = open_page("#/budget")  # a limit of 100 000 a minute, far more than was sent
    expect(page.locator(".legend.taken")).to_be_visible()
    expect(page.locator(".legend.pace")).to_have_count(0)
    with Inspector(limit=60) as slow:
        page = open_page("#/budget", url=slow.url)
        expect(page.locator(".legend.pace")).to_be_visible()
        expect(page.locator(".sustained")).to_have_count(1)
        page.close()


def test_the_budget_is_plotted_with_its_429s(open_page):
    with Inspector(limit=5) as api:
        caller = Caller(api.url)
        with caller.session:
            for _ in range(8):
                caller.track()
        page = open_page("#/budget", url=api.url)
        expect(page.locator(".tiles")).to_contain_text("Remaining\n0\nof 5 in 60 s", use_inner_text=True)
        expect(page.locator(".tiles")).to_contain_text("Refused\n3\n429s in this time", use_inner_text=True)
        assert page.locator("path.refused").get_attribute("d") != ""
        assert page.locator("path.mark").get_attribute("d") != ""
        expect(page.get_by_role("img", name="Requests per second")).to_be_visible()
        page.get_by_role("button", name="1 min").click()
        expect(page.get_by_role("button", name="1 min")).to_have_attribute("aria-pressed", "true")
        page.close()


@pytest.mark.parametrize("view", ["events", "requests", "users", "accounts"])
def test_whatever_arrives_is_text(call, open_page, view):
    body = {
        "identification": {"user": {"userId": HOSTILE}, "account": {"accountId": HOSTILE}},
        "name": HOSTILE,
        "metadata": {HOSTILE: HOSTILE, "trace_id": HOSTILE},
    }
    call("/track", body)
    call("/users/upsert", {"identification": {"userId": HOSTILE}, "properties": {HOSTILE: HOSTILE}})
    call("/accounts/upsert", {"identification": {"accountId": HOSTILE}, "properties": {HOSTILE: [HOSTILE]}})
    call(f"/{HOSTILE}", {HOSTILE: HOSTILE})
    page = open_page(f"#/{view}")
    page.locator(".row .name", has_text="<img").first.click()
    expect(page.locator("#detail h2")).to_contain_text("<img")
    assert page.locator("main img, main script").count() == 0
    assert "taken" not in page.title()


SIZES = {"desk": DESK, "tablet": TABLET, "phone": PHONE}
VIEWS = (
    "events",
    "events/5",
    "users",
    "users/ada",
    "accounts",
    "accounts/acme",
    "requests",
    "requests/18",
    "budget",
    "funnel",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_fits_and_can_be_read(sample, open_page, screenshot, size, scheme):
    page = open_page(viewport=SIZES[size], scheme=scheme)
    for view in VIEWS:
        page.evaluate("view => { location.hash = `#/${view}`; }", view)
        if "/" in view:
            expect(page.locator("#detail h2")).to_be_visible()
        elif view == "budget":
            expect(page.locator(".tiles b").first).to_be_visible()
        elif view == "funnel":
            expect(page.locator(".choices")).to_be_visible()
        else:
            expect(page.locator(".row").first).to_be_visible()
        screenshot(page, f"{view.replace('/', '-')}-{size}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert page.evaluate(CONTRAST) == [], view


#: Elements next to each other in the top bar that overlap or extend beyond the page.
CROWDED = """() => {
  const seen = [...document.querySelectorAll(".brand img, .brand b, .brand span span, nav a, .tools > *")]
    .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect());
  const bad = seen.filter((one) => one.left < 0 || one.right > innerWidth).map((one) => `beyond: ${one.right}`);
  for (const [place, one] of seen.entries()) {
    for (const other of seen.slice(place + 1)) {
      const beside = one.right <= other.left || other.right <= one.left;
      const apart = beside || one.bottom <= other.top || other.bottom <= one.top;
      if (!apart) bad.push(`${one.left}-${one.right} and ${other.left}-${other.right}`);
    }
  }
  return bad;
}"""


@pytest.mark.parametrize(
    "width", [320, 379, 380, 390, 479, 480, 719, 768, 999, 1000, 1024, 1279, 1280, 1379, 1380, 1479, 1480]
)
def test_the_bar_on_top_has_room_at_every_width(call, open_page, width):
    page = open_page(viewport=PHONE)
    page.set_viewport_size({"width": width, "height": 800})
    # Counts as large as after a long day.
    page.evaluate(
        "document.querySelector('[data-view=catalogue]').hidden = false;"
        "for (const output of document.querySelectorAll('[data-count]')) output.textContent = '12,345';"
        "document.querySelector('#pending').hidden = false;"
        "document.querySelector('#pending').textContent = '12';"
    )
    assert page.evaluate(CROWDED) == []
    page.get_by_role("button", name="Live").click()
    page.evaluate("document.querySelector('#live span').textContent = 'Held, 12,345 new'")
    assert page.evaluate(CROWDED) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# Text whose contrast to the nearest background behind it is below the WCAG minimum for level AA.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const seen = element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    if (!seen || !texts.currentNode.textContent.trim()) continue;
    if (element.closest("svg, .hidden, option, datalist")) continue;
    const [one, other] = [light(rgba(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) bad.push(`${texts.currentNode.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return bad;
}"""


def test_a_name_is_not_cut_while_nothing_has_a_trace(call, open_page):
    name = "invited_a_colleague_to_the_team"
    call.track(name)
    page = open_page(viewport={"width": 1024, "height": 768})
    cell = page.get_by_role("row", name=name).locator(".name")
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")
    expect(page.get_by_role("columnheader", name="Trace")).to_be_hidden()


def test_a_user_who_is_known_by_email_is_named_beside_the_open_details(call, open_page):
    call("/users/upsert", {"identification": {"email": "jane@acme.example"}, "properties": {}})
    page = open_page("#/users/jane@acme.example")
    expect(page.locator(".row .name")).to_have_text("jane@acme.example")


def test_on_a_phone_an_event_shows_its_metadata(call, open_page):
    call.track("bought", plan="pro")
    page = open_page(viewport=PHONE)
    expect(page.locator(".row .chip")).to_be_visible()
    row, chip = page.locator(".row").bounding_box(), page.locator(".row .chip").bounding_box()
    assert row["y"] < chip["y"] < chip["y"] + chip["height"] < row["y"] + row["height"]


def test_an_event_of_an_account_alone_is_not_indented_on_a_phone(call, open_page):
    call("/track", {"identification": {"account": {"accountId": "acme"}}, "name": "renewed"})
    page = open_page(viewport=PHONE)
    lefts = [page.locator(f".row .{part}").bounding_box()["x"] for part in ("name", "account")]
    assert lefts[0] == lefts[1]


def test_an_empty_text_a_list_and_a_missing_name_are_seen(call, open_page):
    call("/track", {"identification": {"user": {"userId": "u1"}}, "metadata": {"empty": "", "list": [1, "x"]}})
    call("/track", {"identification": {"user": {"userId": "u1"}}, "name": ""})
    page = open_page()
    expect(page.get_by_role("row", name="empty name")).to_be_visible()
    row = page.get_by_role("row", name="no name")
    assert row.locator(".chip").all_inner_texts() == ['empty ""', 'list [1,"x"]']


def test_the_ring_of_the_details_is_seen_beside_their_head(call, open_page):
    call.track()
    page = open_page()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_focused()
    assert page.locator(".detail-head").evaluate("head => getComputedStyle(head).boxShadow") != "none"


def test_a_timeline_goes_by_when_it_happened_and_names_the_arrival_of_what_came_late(call, open_page):
    day = datetime.now(UTC) - timedelta(days=3)
    call.track("now")
    body = {"identification": {"user": {"userId": "u1"}}, "name": "earlier", "triggeredAt": day.isoformat()}
    assert call("/track", body).status_code == 201
    page = open_page("#/users/u1")
    timeline = page.get_by_role("list", name="Timeline")
    assert timeline.locator("b").all_inner_texts() == ["now", "earlier"]
    expect(timeline.locator(".session")).to_have_count(2)
    late = timeline.get_by_role("listitem").last
    expect(late).to_contain_text("3 days ago, arrived")
    expect(timeline.get_by_role("listitem").first).not_to_contain_text("arrived")
