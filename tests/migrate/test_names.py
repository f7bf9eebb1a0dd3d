"""What a name refers to: a call is attributed to the other library only if it cannot be anything else."""

from __future__ import annotations

import textwrap

import pytest

#: Code in which it is uncertain what is called.
UNSURE = {
    "a parameter of that name": """\
        import segment.analytics as analytics
        def f(analytics, u):
            analytics.track(u, "a")
        """,
    "an import that may fail": """\
        try:
            import segment.analytics as analytics
        except ImportError:
            analytics = None
        def f(u):
            analytics.track(u, "a")
        """,
    "a variable of that name": """\
        import segment.analytics as analytics
        if DEBUG:
            analytics = Fake()
        analytics.track("u1", "a")
        """,
    "a client that is one of two": """\
        from segment.analytics import Client
        client = Client("a") if KEY else None
        client.track("u1", "a")
        """,
    "a client that is passed": """\
        from segment.analytics import Client
        def f(client: Client):
            client.track("u1", "a")
        """,
    "a client that a function returns": """\
        from segment.analytics import Client
        def client():
            return Client("a")
        client().track("u1", "a")
        """,
    "our name is taken": """\
        import segment.analytics as analytics
        journy_track = "journy"
        analytics.track("u1", "a")
        """,
    "an attribute that is set twice": """\
        from segment.analytics import Client
        class A:
            def __init__(self, client=None):
                self.client = Client("a")
                if client:
                    self.client = client
            def f(self):
                self.client.track("u1", "a")
        """,
}


for _pattern in (
    "analytics",
    '{"a": analytics}',
    "[*analytics]",
    "{**analytics}",
    "str() as analytics",
    "A(analytics) | A(b=analytics)",
):
    UNSURE[f"a name that a match binds: {_pattern}"] = f"""\
        import segment.analytics as analytics
        def f(value):
            match value:
                case {_pattern}:
                    analytics.track("u1", "a")
        """
UNSURE["a client that a match may replace"] = """\
        from segment.analytics import Client
        client = Client("a")
        match VALUE:
            case [client]:
                client.track("u1", "a")
        """


@pytest.mark.parametrize("source", UNSURE.values(), ids=UNSURE)
def test_a_module_that_is_not_sure_stays_byte_for_byte(moved, source):
    done = moved("segment", source)
    assert done.text == textwrap.dedent(source)
    assert done.left


@pytest.mark.parametrize(
    ("head", "call"),
    [
        ("import segment.analytics as analytics", "analytics.track"),
        ("import segment.analytics", "segment.analytics.track"),
        ("from segment import analytics", "analytics.track"),
        ("from segment.analytics import track as send", "send"),
        ("import analytics", "analytics.track"),
    ],
)
def test_each_way_to_import_it_is_known(moved, head, call):
    assert moved("segment", f'{head}\n\n{call}("u1", "a")\n').text == (
        'import journy_track\n\njourny_track.track("a", user="u1")\n'
    )


def test_the_import_stays_while_something_else_uses_it(moved):
    source = """\
        import os
        from posthog import Posthog, capture, flush
        def f(u: "Posthog"):
            capture("a", distinct_id=os.name)
            flush()
        """
    text = moved("posthog", source).text
    assert "import os\nfrom posthog import Posthog\nimport journy_track\n" in text


def test_an_import_stays_that_the_module_exports(moved):
    source = """\
        from analytics import flush, identify, track
        __all__ = ["track"]
        __all__ += ["identify"]
        track("u1", "a")
        identify("u1")
        flush()
        """
    text = moved("segment", source).text
    assert text.startswith("from analytics import identify, track\nimport journy_track\n")
    assert 'journy_track.track("a", user="u1")' in text


@pytest.mark.parametrize(
    "other",
    [
        '@mock.patch("shop.app.analytics.track")\ndef test(track): ...\n',
        "from shop import app\nassert app.analytics\n",
        'mock.patch.object(app, "analytics")\n',
        "from app import analytics\nprint(analytics)\n",
    ],
)
def test_an_import_stays_that_another_file_needs(moved, other):
    source = 'import segment.analytics as analytics\nanalytics.track("u1", "a")\n'
    assert moved("segment", source, test_app=other).text == (
        'import segment.analytics as analytics\nimport journy_track\njourny_track.track("a", user="u1")\n'
    )


def test_an_import_in_a_function_goes(moved):
    text = moved(
        "posthog",
        """\
        def f(u):
            import posthog

            posthog.capture("a", distinct_id=u.id)
        """,
    ).text
    assert text == 'import journy_track\ndef f(u):\n    journy_track.track("a", user=u.id)\n'


def test_ours_is_imported_once(moved):
    text = moved(
        "posthog",
        'import journy_track\nimport posthog\njourny_track.flush()\nposthog.capture("a", distinct_id="u1")\n',
    ).text
    assert text == 'import journy_track\njourny_track.flush()\njourny_track.track("a", user="u1")\n'


def test_a_future_import_stays_first(moved):
    text = moved(
        "posthog",
        '"""Doc."""\nfrom __future__ import annotations\n\nfrom .a import b\nif b:\n'
        '    import posthog\n    posthog.capture("a", distinct_id="u1")\n',
    ).text
    assert text.startswith(
        '"""Doc."""\nfrom __future__ import annotations\nimport journy_track\n\nfrom .a import b\n'
    )


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    import analytics\n    analytics.track("u1", "a")\nf()\nimport os\n',
        'try:\n    import analytics\nexcept ImportError:\n    raise\nanalytics.track("u1", "a")\nimport os\n',
        'def f():\n    import analytics\n    analytics.track("u1", "a")\nf()\nimport analytics\nanalytics.flush()\n',
        'def f():\n    import analytics\n    analytics.track("u1", "a")\nf()\nimport journy_track\n',
    ],
)
def test_our_import_stands_before_what_needs_it(moved, source):
    text = moved("segment", source).text
    assert 'journy_track.track("a", user="u1")' in text
    assert text.startswith("import journy_track\n")


# ── Clients ──


def test_a_client_becomes_the_configuration(moved):
    text = moved(
        "posthog",
        """\
        from posthog import Posthog
        posthog = Posthog("phc", host="https://eu.i.posthog.com")
        def f(u):
            posthog.capture("a", distinct_id=u.id)
            posthog.shutdown()
        """,
    ).text
    assert text == textwrap.dedent("""\
        import journy_track
        journy_track.configure()
        def f(u):
            journy_track.track("a", user=u.id)
            journy_track.flush()
        """)


def test_the_key_of_the_official_sdk_stays(moved):
    text = moved(
        "journyio",
        """\
        from journyio.client import Client, Config
        from journyio.httpclient import HttpClientRequests
        from journyio.user_identified import UserIdentified
        http = HttpClientRequests()
        config = Config(api_key=KEY, root_url=URL)
        client = Client(http, config)
        client.delete_user(UserIdentified.by_user_id("u1"))
        """,
    ).text
    assert text == 'import journy_track\njourny_track.configure(KEY, base_url=URL)\njourny_track.delete_user("u1")\n'


def test_a_client_of_an_option_is_left_and_its_calls_are_not(moved):
    done = moved(
        "posthog",
        'from posthog import Posthog\nclient = Posthog("phc", debug=True)\nclient.capture("a", distinct_id="u1")\n',
    )
    assert 'client = Posthog("phc", debug=True)\njourny_track.track("a", user="u1")\n' in done.text
    assert "configure(debug=…)" in done.reasons


def test_a_client_is_followed_into_other_modules(moved):
    done = moved(
        "posthog",
        'from posthog import Posthog\nclient = Posthog("phc")\n',
        views='from app import client\ndef f(u):\n    client.capture("a", distinct_id=u.id)\n',
        tasks='import app\ndef f(u):\n    app.client.capture("b", distinct_id=u.id)\n',
    )
    assert done.left == []
    assert done.text == "import journy_track\njourny_track.configure()\n"
    assert done.files["views.py"] == 'import journy_track\ndef f(u):\n    journy_track.track("a", user=u.id)\n'
    assert 'journy_track.track("b", user=u.id)' in done.files["tasks.py"]


def test_a_client_stays_while_another_module_needs_it(moved):
    source = 'from posthog import Posthog\nclient = Posthog("phc")\nclient.capture("b", distinct_id="u1")\n'
    done = moved(
        "posthog",
        source,
        pkg__views='from ..app import client\ndef f(u):\n    client.capture("a", distinct_id=u.id)\n    g(client)\n',
    )
    assert 'client = Posthog("phc")\n' in done.text
    assert "from ..app import client\n" in done.files["pkg/views.py"]
    assert 'journy_track.track("a", user=u.id)' in done.files["pkg/views.py"]
    assert {(one.file.rpartition("/")[2], one.line) for one in done.left} == {("app.py", 2), ("views.py", 4)}


def test_a_client_in_an_attribute_stays_while_others_may_use_it(moved):
    source = """\
        from posthog import Posthog
        class A:
            def __init__(self):
                self.sender = Posthog("phc")
            def f(self):
                self.sender.capture("a", distinct_id="u1")
        """
    assert "journy_track.configure()" in moved("posthog", source).text
    done = moved("posthog", source, other="def f(a):\n    a.sender.flush()\n")
    assert 'self.sender = Posthog("phc")' in done.text
    assert 'journy_track.track("a", user="u1")' in done.text


def test_a_client_at_the_top_of_a_class_is_one_of_its_attributes(moved):
    source = """\
        from posthog import Posthog
        class A:
            sender = Posthog("phc")
            def f(self):
                def g():
                    self.sender.capture("a", distinct_id="u1")
                g()
            def h(self):
                {}
        """
    done = moved("posthog", source.format("self.sender.flush()"))
    assert done.left == []
    assert "class A:\n    journy_track.configure()\n" in done.text
    done = moved("posthog", source.format("return self.sender"))
    assert 'sender = Posthog("phc")' in done.text
    assert 'journy_track.track("a", user="u1")' in done.text


def test_what_another_file_may_import_stays(moved):
    source = """\
        from journyio.client import Client, Config
        from journyio.httpclient import HttpClientRequests
        from journyio.user_identified import UserIdentified
        client = Client(HttpClientRequests(), Config("a-key"))
        system = UserIdentified.by_user_id("system")
        client.delete_user(system)
        """
    assert "system = journy_track.UserIdentified" in moved("journyio", source).text
    done = moved("journyio", source, other="from app import system\nprint(system)\n")
    assert done.text == textwrap.dedent(source)
    assert "another file may import it" in done.reasons


def test_an_import_of_everything_is_listed(moved):
    source = 'from posthog import *\ncapture("a", distinct_id="u1")\n'
    done = moved("posthog", source)
    assert done.text == source
    assert done.reasons == "it imports everything (*)"


def test_the_key_of_a_module_stays_while_any_call_does(moved):
    done = moved(
        "segment",
        "import segment.analytics as analytics\nanalytics.write_key = KEY\n",
        views='from segment import analytics\nanalytics.page("u1")\nanalytics.track("u1", "a")\n',
    )
    assert done.text == "import segment.analytics as analytics\nanalytics.write_key = KEY\n"
    assert "views.py:2" in done.reasons
    assert 'analytics.page("u1")\njourny_track.track("a", user="u1")\n' in done.files["views.py"]


def test_a_module_of_the_project_with_that_name_may_be_what_is_imported(moved):
    source = 'import analytics\nanalytics.track("u1", "a")\n'
    done = moved("segment", source, analytics="def track(user, name): ...\n")
    assert done.text == source
    assert "it may be the local module analytics" in done.reasons


def test_methods_of_the_same_name_of_other_things_are_not_looked_at(moved):
    source = "import posthog\nfrom audit import log\nlog.capture('a')\nlog.flush()\n"
    done = moved("posthog", source)
    assert done.text == source
    assert done.left == []
