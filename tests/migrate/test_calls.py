"""Call by call: the replacement of each, and the calls that are left, with the reason."""

from __future__ import annotations

import textwrap

import pytest

HEADS = {
    "segment": "import segment.analytics as analytics\n",
    "posthog": "import posthog\n",
    "journyio": textwrap.dedent("""\
        from journyio.account_identified import AccountIdentified as Account
        from journyio.client import Client, Config, Properties
        from journyio.events import Event, Metadata
        from journyio.httpclient import HttpClientRequests
        from journyio.user_identified import UserIdentified as User
        client = Client(HttpClientRequests(), Config("a-key"))
        """),
}
REWRITTEN = [
    # ── Segment ──
    ("segment", 'analytics.track("u1", "a")', 'journy_track.track("a", user="u1")'),
    ("segment", 'analytics.track("u1", event="a", properties=None)', 'journy_track.track("a", user="u1")'),
    ("segment", "analytics.track(u.id, NAME, {})", "journy_track.track(NAME, user=u.id)"),
    (
        "segment",
        'analytics.track(u.id, "a", {"b": 1, "c-d": 2, "user": 3, "timestamp": 4})',
        'journy_track.track("a", {"c-d": 2, "user": 3, "timestamp": 4}, user=u.id, b=1)',
    ),
    (
        "segment",
        'analytics.track(u.id, "a", {"b": 1, "__debug__": 2, "__plan": 3})',
        'journy_track.track("a", {"__debug__": 2, "__plan": 3}, user=u.id, b=1)',
    ),
    (
        "segment",
        'analytics.track(u.id, "a", {"b": 1, KEY: 5})',
        'journy_track.track("a", {"b": 1, KEY: 5}, user=u.id)',
    ),
    (
        "segment",
        'analytics.track(u.id, "a", timestamp=datetime.now(UTC), integrations={})',
        'journy_track.track("a", user=u.id, happened_at=datetime.now(UTC))',
    ),
    (
        "segment",
        'analytics.track(anonymous_id=c.id, event="a", context={"groupId": c.id})',
        'journy_track.track("a", user=None, account=c.id)',
    ),
    (
        "segment",
        'analytics.identify(u.id, {"email": u.email, "after_commit": 1, "tags": ["a"]})',
        'journy_track.upsert_user({"after_commit": 1}, user=u.id, email=u.email, tags=["a"])',
    ),
    ("segment", "analytics.group(u.id, c.id)", "journy_track.add_users_to_account(c.id, [u.id])"),
    (
        "segment",
        'if c: analytics.group(u.id, c.id, {"domain": d})',
        "if c: journy_track.upsert_account(account=c.id, domain=d); journy_track.add_users_to_account(c.id, [u.id])",
    ),
    ("segment", "analytics.track(await k(), 'a'); g()", "journy_track.track('a', user=await k()); g()"),
    (
        "segment",
        'analytics.track(u.get(), "a", {"b": d.get()}, timestamp=datetime.now(UTC))',
        'journy_track.track("a", user=u.get(), b=d.get(), happened_at=datetime.now(UTC))',
    ),
    ("segment", "analytics.shutdown()", "journy_track.shutdown()"),
    ("segment", "analytics.write_key = KEY", "journy_track.configure()"),
    # ── PostHog: the event first, and the user first ──
    ("posthog", 'posthog.capture("a", distinct_id=u.id)', 'journy_track.track("a", user=u.id)'),
    ("posthog", 'posthog.capture(u.id, "a", {"b": 1})', 'journy_track.track("a", user=u.id, b=1)'),
    ("posthog", 'posthog.capture(u.id, event="a")', 'journy_track.track("a", user=u.id)'),
    ("posthog", 'posthog.capture(distinct_id=u.id, event="a")', 'journy_track.track("a", user=u.id)'),
    (
        "posthog",
        'posthog.capture("a", distinct_id=u.id, groups={"organization": c.id}, send_feature_flags=False)',
        'journy_track.track("a", user=u.id, account=c.id)',
    ),
    ("posthog", 'posthog.identify(u.id, {"b": 1})', "journy_track.upsert_user(user=u.id, b=1)"),
    ("posthog", 'posthog.set(distinct_id=u.id, properties={"b": 1})', "journy_track.upsert_user(user=u.id, b=1)"),
    (
        "posthog",
        'posthog.group_identify("company", c.id, {"name": c.name})',
        "journy_track.upsert_account(account=c.id, name=c.name)",
    ),
    ("posthog", 'posthog.api_key = "phc"', "journy_track.configure()"),
    # ── The official SDK ──
    (
        "journyio",
        'client.add_event(Event.for_user("a", User.by_user_id(u.id)))',
        'journy_track.track("a", user=u.id)',
    ),
    (
        "journyio",
        'client.add_event(Event.for_account("a", Account.by_domain(c.domain)))',
        'journy_track.track("a", user=None, account=journy_track.AccountIdentified.by_domain(c.domain))',
    ),
    (
        "journyio",
        'client.add_event(Event.for_user_in_account("a", User(u), Account.by_account_id(i)).happened_at(now(tz)))',
        'journy_track.track("a", user=journy_track.UserIdentified(u), account=i, happened_at=now(tz))',
    ),
    (
        "journyio",
        "client.remove_users_from_account(Account.by_account_id(c.id), [User.by_user_id(one) for one in ids])",
        "journy_track.remove_users_from_account(c.id, [one for one in ids])",
    ),
    ("journyio", 'client.link(User.by_user_id(u.id), "d-17")', 'journy_track.link("d-17", user=u.id)'),
    ("journyio", "client.link(User.by_user_id(u.id), d.get())", "journy_track.link(d.get(), user=u.id)"),
    ("journyio", "client.delete_user(User.by_email(u.email))", None),
    (
        "journyio",
        'p = Properties(); p["Plan "] = 3; client.upsert_user(User.by_user_id(u.id), p)',
        'p = {}; p["plan"] = 3; journy_track.upsert_user(p, user=u.id)',
    ),
    ("journyio", "client.upsert_user(User.by_user_id(u.id), Properties())", "journy_track.upsert_user(user=u.id)"),
]
LEFT = [
    ("segment", "analytics.track(**values)", "**values can only be known"),
    ("segment", "analytics.track(*values)", "*values can only be known"),
    ("segment", 'analytics.track(u.id, "a", {**more})', "**more can only be known"),
    ("segment", 'analytics.track(u.id, "a", properties)', "what properties holds is not visible"),
    ("segment", 'analytics.track(u.id, "a", dict(more))', "what dict(more) holds is not visible"),
    ("segment", 'analytics.track(u.id, "a", {"b": [1]})', "b is a list"),
    ("segment", 'analytics.track(u.id, "a", {"b": {"c": 1}})', "b is a nested object"),
    ("segment", 'analytics.track(u.id, "a", {"b": {} if u else 1})', "b is a nested object"),
    ("segment", 'analytics.identify(u.id, {"tags": [1, 2]})', "elements become text"),
    ("segment", "analytics.identify(u.id, traits)", "email is an argument of its own"),
    ("segment", 'analytics.track(u.id, "a", timestamp=moment)', "may have no time zone"),
    ("segment", 'analytics.track(u.id, "a", timestamp=datetime.now())', "may have no time zone"),
    ("segment", 'analytics.track(anonymous_id="x", event="a")', "anonymous_id= is Segment's"),
    ("segment", 'analytics.track(u.id, "a", anonymous_id="x")', "anonymous_id= is Segment's"),
    ("segment", 'analytics.track(u.id, "a", context={"ip": ip})', "context= has no counterpart"),
    ("segment", 'analytics.track(u.id, "a", context={"groupId": 1, "ip": ip})', "context= has no counterpart"),
    ("segment", 'analytics.track(u.id, "a", integrations={"All": False})', "integrations= has no counterpart"),
    ("segment", 'analytics.track(u.id, "a", message_id="m")', "message_id= has no counterpart"),
    ("segment", 'analytics.track(u.id, "a", priority=1)', "priority= is not an argument"),
    ("segment", 'analytics.track(1.5, "a")', "not an ID"),
    ("segment", 'analytics.track(u.id, (name := "a"))', "assigns a variable"),
    ("segment", 'done = analytics.track(u.id, "a")', "its result is used"),
    ("segment", 'on_commit(lambda: analytics.track(u.id, "a"))', "its result is used"),
    ("segment", 'analytics.group(u.id, u.company(), {"a": 1})', "evaluated twice"),
    ("segment", "analytics.track(next(u), next(u))", "would run in another order"),
    ("segment", "analytics.track(u.pop(0), u.pop(0))", "would run in another order"),
    ("segment", "analytics.group(next(u), next(u))", "would run in another order"),
    ("segment", 'analytics.track(next(u), "a", {"b": next(u), "c-d": next(u)})', "would run in another order"),
    ("segment", 'analytics.page(u.id, name="Home")', "web snippet"),
    ("segment", 'analytics.screen(u.id, name="Home")', "screens have no counterpart"),
    ("segment", 'analytics.alias("a", u.id)', "cannot be merged"),
    ("segment", "atexit.register(analytics.shutdown)", "not understood"),
    ("segment", "analytics.on_error = print", "a setting"),
    ("posthog", 'posthog.capture("a")', "no distinct_id="),
    ("posthog", 'posthog.capture("a", u.id)', "the first looks like an event"),
    ("posthog", "posthog.capture(await u.get(), await u.get())", "would run in another order"),
    ("posthog", 'posthog.capture("$pageview", distinct_id=u.id)', "$pageview means something to PostHog alone"),
    ("posthog", 'posthog.capture("a", distinct_id=u.id, properties={"$set": v})', "$set means something"),
    ("posthog", 'posthog.capture("a", distinct_id=u.id, groups={"project": 1})', "groups= is account="),
    ("posthog", 'posthog.capture("a", distinct_id=u.id, uuid="3")', "uuid= has no counterpart"),
    ("posthog", 'posthog.capture("a", distinct_id=u.id, send_feature_flags=True)', "feature flags"),
    ("posthog", 'posthog.capture("a", distinct_id=u.id, timestamp="2026-05-17")', "or be text"),
    ("posthog", 'posthog.group_identify("project", p.id, {"a": 1})', "type of the group"),
    ("posthog", 'posthog.set_once(u.id, {"a": 1})', "set once"),
    ("posthog", "with posthog.new_context(): pass", "contexts are this library's own"),
    ("posthog", "posthog.identify_context(u.id)", "contexts are this library's own"),
    ("posthog", 'if posthog.feature_enabled("a", u.id): pass', "feature flags"),
    ("posthog", "posthog.host = HOST", "a setting"),
    ("journyio", "client.get_api_key_details()", "returns a value"),
    ("journyio", "client.delete_user(u)", "where user= comes from"),
    ("journyio", "client.add_event(e)", "where its event comes from"),
    (
        "journyio",
        "client.add_event(Event('a', User.by_user_id(u.id), None, None, Metadata()))",
        "where its event comes from",
    ),
    ("journyio", "client.link(User.by_user_id(next(u)), next(u))", "would run in another order"),
    (
        "journyio",
        "client.add_event(Event.for_user(user=User.by_user_id(next(u)), name=next(u)))",
        "would run in another order",
    ),
    ("journyio", "result = client.delete_user(User.by_user_id(u.id))", "its result is used"),
    (
        "journyio",
        "m = Metadata(); m[key] = 1; client.add_event(e.with_metadata(m))",
        "the key is known only at run time",
    ),
    ("journyio", "user = User.by_user_id(u.id); keep(user); client.delete_user(user)", "still needed"),
]


def in_function(vendor: str, line: str) -> str:
    return f"{HEADS[vendor]}async def f(u, c, d):\n    {line}\n"


@pytest.mark.parametrize(("vendor", "line", "new"), REWRITTEN, ids=lambda value: str(value)[:60])
def test_a_call_that_is_sure_is_rewritten(moved, vendor, line, new):
    done = moved(vendor, in_function(vendor, line))
    new = new or "journy_track.delete_user(journy_track.UserIdentified.by_email(u.email))"
    assert f"    {new}\n" in done.text
    assert done.left == []
    assert "import journy_track\n" in done.text


@pytest.mark.parametrize(("vendor", "line", "reason"), LEFT, ids=lambda value: str(value)[:60])
def test_a_call_that_is_not_sure_leaves_the_file_as_it_is(moved, vendor, line, reason):
    source = in_function(vendor, line)
    done = moved(vendor, source)
    assert done.text == source
    assert reason in done.reasons
    assert {one.file.rpartition("/")[2] for one in done.left} == {"app.py"}
    assert source.count("\n") in {one.line for one in done.left}


def test_what_a_variable_holds_is_followed(moved):
    done = moved(
        "segment",
        """\
        import segment.analytics as analytics
        def f(u):
            properties = {"a": 1}
            properties["b"] = u.name
            analytics.track(u.id, "x", properties)
        def g(u):
            properties = {"a": 1}
            properties["b"] = [u.name]
            analytics.track(u.id, "y", properties)
        def h(u):
            properties = {"a": 1}
            properties.update(u.more)
            analytics.track(u.id, "z", properties)
        def k(u):
            traits = {"email": u.email}
            analytics.identify(u.id, traits)
        """,
    )
    assert 'journy_track.track("x", properties, user=u.id)' in done.text
    assert [one.line for one in done.left] == [9, 13, 16]


def test_comments_and_layout_stay(moved):
    done = moved(
        "segment",
        """\
        import segment.analytics as analytics

        def f(u):
            # Above it.
            analytics.track(  # noqa
                # Who.
                u.id,  # the key
                "a",  # its name
                {
                    # Inside.
                    "b": 1,
                },  # behind
                # The end.
            )  # all of it

            analytics.track(u.id, "a", {
                "b": 1,
            })
        """,
    )
    assert done.text == textwrap.dedent("""\
        import journy_track

        def f(u):
            # Above it.
            journy_track.track(  # noqa
                "a",  # its name
                {
                    # Inside.
                    "b": 1,
                },  # behind
                # Who.
                user=u.id,  # the key
                # The end.
            )  # all of it

            journy_track.track(
                "a",
                user=u.id,
                b=1,
            )
        """)


def test_line_ends_tabs_and_encodings_stay(tmp_path, moved):
    source = (
        "# coding: latin-1\r\nimport posthog\r\n\r\ndef f(u):\r\n"
        "\tposthog.capture(\r\n\t\t'\u00e9',\r\n\t\tdistinct_id=u.id,\r\n\t)\r\n"
    )
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "app.py").write_bytes(source.encode("latin-1"))
    from journy_track.cli.migrating.reading import VENDORS, migrate

    (file,) = migrate(VENDORS["posthog"], [folder]).files
    assert file.after.decode("latin-1") == (
        "# coding: latin-1\r\nimport journy_track\r\n\r\ndef f(u):\r\n"
        "\tjourny_track.track(\r\n\t\t'\u00e9',\r\n\t\tuser=u.id,\r\n\t)\r\n"
    )
