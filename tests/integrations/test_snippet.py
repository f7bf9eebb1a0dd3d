"""The web snippet in templates: fetched once, in the background, with the signed-in user, and safe to embed."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from collections.abc import Callable
from html.parser import HTMLParser
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import journy_track
from journy_track import ConfigurationError, UserIdentified, verification_hash
from journy_track.integrations import _snippet
from journy_track.integrations._snippet import Snippet, _pieces_of
from journy_track.integrations.wsgi import JournyMiddleware

from ..conftest import KEY

SECRET = "the-website's-secret"
DOMAIN = "shop.example"
FETCHED = f"<script>/* the snippet of {DOMAIN} */</script>"


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = monotonic() + 20
    while not (found := condition()):
        assert monotonic() < deadline, what
        sleep(0.005)
    return found


class Page(HTMLParser):
    """The scripts of a page, as a browser finds them, and the markup around them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.beside = ""
        self._inside = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "script", f"a <{tag}> that nobody meant"
        self._inside = True
        self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        else:
            self.beside += data

    @property
    def calls(self) -> dict[str, Any]:
        """Return the calls of the last script by command, as JavaScript reads them."""
        text = self.scripts[-1][1].removeprefix("if(window.journy){").removesuffix("}")
        found: dict[str, Any] = {}
        while text:
            assert text.startswith('journy("')
            command, _, text = text.removeprefix('journy("').partition('",')
            found[command], end = json.JSONDecoder().raw_decode(text)
            text = text[end:].removeprefix(");")
        return found


def requests_of(api) -> list[Any]:
    return [request for request in api.requests if request.path.startswith("/tracking/snippet")]


@pytest.fixture
def snippet(api, tracker) -> Snippet:
    """Return a snippet that has been fetched."""
    made = Snippet(DOMAIN, SECRET)
    until(lambda: made.html(user=None, account=None), "it is fetched")
    return made


def test_the_first_page_waits_for_nothing_and_one_request_serves_the_others(api, tracker):
    api.answer_next(None, delay=0.5)
    snippet = Snippet(DOMAIN)
    assert snippet.html() == ""
    assert until(snippet.html, "it is fetched") == FETCHED
    for _ in range(50):
        assert snippet.html() == FETCHED
    assert len(requests_of(api)) == 1


def test_a_page_does_not_wait_for_a_server_that_hangs(hung_server):
    journy_track.configure(KEY, base_url=hung_server, timeout=20)
    snippet = Snippet(DOMAIN)
    began = monotonic()
    assert [snippet.html() for _ in range(20)] == [""] * 20
    assert monotonic() - began < 10


def test_after_an_hour_it_is_fetched_again_and_an_old_one_stays_while_that_fails(api, tracker, snippet, caplog):
    api.answer_next(status=503)
    snippet._cached._again_at = 0.0
    assert snippet.html() == FETCHED
    until(lambda: "could not be fetched" in caplog.text, "that it failed is logged")
    assert snippet.html() == FETCHED
    assert len(requests_of(api)) == 2
    assert 0 < snippet._cached._again_at - monotonic() <= _snippet.RETRY
    snippet._cached._again_at = 0.0
    snippet.html()
    until(lambda: snippet._cached._again_at - monotonic() > _snippet.RETRY, "it was fetched")
    assert _snippet.TTL - 20 < snippet._cached._again_at - monotonic() <= _snippet.TTL


def test_a_website_that_is_not_known_is_logged_and_pages_go_out_without(api, tracker, caplog):
    snippet = Snippet("unknown.example")
    assert snippet.html() == ""
    until(lambda: "unknown.example could not be fetched: There is no such domain." in caplog.text, "it is logged")
    assert snippet.html() == ""


def test_who_is_signed_in_is_said_with_the_verification(snippet):
    with journy_track.user("u1", email="jane@acme.com"), journy_track.account("acme"):
        page = Page(snippet.html())
    assert page.scripts[0] == ({}, f"/* the snippet of {DOMAIN} */")
    assert page.calls == {
        "identify": {"userId": "u1", "email": "jane@acme.com", "verification": verification_hash("u1", SECRET)},
        "account": {"accountId": "acme", "verification": verification_hash("acme", SECRET)},
    }


def test_without_a_secret_there_is_no_verification_and_an_address_needs_none(api, tracker, snippet):
    bare = Snippet(DOMAIN)
    until(bare.html, "it is fetched")
    assert Page(bare.html(user=7)).calls == {"identify": {"userId": "7"}}
    assert Page(snippet.html(user=UserIdentified.by_email("jane@acme.com"))).calls == {
        "identify": {"email": "jane@acme.com"}
    }


@pytest.mark.parametrize("nobody", [None, ""])
def test_for_nobody_there_is_the_snippet_alone(snippet, nobody):
    assert snippet.html(user=nobody, account=nobody) == FETCHED
    with journy_track.user("u1"):
        assert snippet.html(user=nobody) == FETCHED


def test_what_is_suppressed_gets_no_snippet(snippet):
    with journy_track.suppressed(), journy_track.user("u1"):
        assert snippet.html() == ""


def test_a_request_whose_skip_fails_gets_no_snippet(snippet):
    pages = []

    def app(environ, start_response):
        pages.append(snippet.html(user="u1"))
        return []

    for skip in (lambda environ: False, lambda environ: environ["MISSING"]):
        list(JournyMiddleware(app, skip=skip)({}, lambda status, headers: None))
    assert pages[0]
    assert pages[1] == ""


def test_a_wrong_value_names_nobody_and_is_logged(api, caplog):
    journy_track.configure(KEY, base_url=api.url, strict=False)
    snippet = Snippet(DOMAIN)
    until(lambda: snippet.html(user=None), "it is fetched")
    assert snippet.html(user=1.5) == FETCHED
    assert "wrong value in journy_snippet(user=)" in caplog.text


def test_each_script_gets_the_nonce_and_only_the_tags_do():
    html = (
        '<script>document.write("<script src=x>")</script>\n<SCRIPT async src="y"></SCRIPT>'
        '<script nonce="own">1</script>'
    )
    pieces = _pieces_of(html)
    assert "".join(pieces) == html
    assert ' nonce="n"'.join(pieces) == (
        '<script nonce="n">document.write("<script src=x>")</script>\n<SCRIPT nonce="n" async src="y"></SCRIPT>'
        '<script nonce="own">1</script>'
    )


def test_the_nonce_is_that_of_both_scripts(snippet):
    page = Page(snippet.html(user="u1", nonce='a"b'))
    assert [attributes for attributes, _ in page.scripts] == [{"nonce": 'a"b'}] * 2


NASTY = ["</script><script>alert(1)</script>", "<!--<script>", "a\u2028b", '"});alert(1);//', "&lt;/script&gt;", "\\"]


@pytest.mark.parametrize("nasty", NASTY)
def test_an_id_cannot_leave_its_text(snippet, nasty):
    page = Page(snippet.html(user=nasty, account=nasty))
    assert [page.calls[name][key] for name, key in (("identify", "userId"), ("account", "accountId"))] == [nasty] * 2
    assert len(page.scripts) == 2
    assert page.beside == "\n"


@given(user=st.text(min_size=1), nonce=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_whatever_the_id_and_the_nonce_are_the_page_has_two_scripts(user, nonce):
    snippet = Snippet(DOMAIN, SECRET)
    snippet._cached._pieces, snippet._cached._again_at = _pieces_of(FETCHED), float("inf")
    try:
        identity = UserIdentified(user)
    except journy_track.InvalidArgument:
        return
    page = Page(snippet.html(user=identity, account=None, nonce=nonce))
    assert page.calls["identify"]["userId"] == identity.user_id
    assert [attributes.get("nonce") or "" for attributes, _ in page.scripts] == [nonce, nonce]


def test_without_a_key_nothing_is_put_out_and_it_is_logged_once(monkeypatch, caplog):
    journy_track.configure(write_key="a-write-key")
    snippet = Snippet(DOMAIN)
    assert [snippet.html(), snippet.html()] == ["", ""]
    assert caplog.text.count("it needs the API key of configure()") == 1
    journy_track.configure(enabled=False)
    assert Snippet(DOMAIN).html() == ""


@pytest.mark.parametrize(("domain", "secret"), [("", None), (None, None), (DOMAIN, ""), (DOMAIN, 7)])
def test_wrong_settings_raise_at_the_start_and_show_no_secret(domain, secret):
    with pytest.raises(ConfigurationError):
        Snippet(domain, secret)
    assert SECRET not in repr(vars(Snippet(DOMAIN, SECRET)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_what_its_parent_fetched(run_program, api):
    done = run_program(
        """
        import os, time, journy_track
        from journy_track.integrations._snippet import Snippet

        journy_track.configure()
        snippet = Snippet("shop.example")
        until = time.monotonic() + 20
        while not snippet.html() and time.monotonic() < until:
            time.sleep(0.01)
        if (child := os.fork()) == 0:
            print(len(snippet.html()), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        """,
        JOURNY_BASE_URL=api.url,
    )
    assert done.out.split() == [str(len(FETCHED))], done.err
    assert len(requests_of(api)) == 1


# ── Jinja2 ──


def test_a_template_of_flask_has_it_with_the_user_of_the_session(api, tracker):
    flask = pytest.importorskip("flask")
    from journy_track.integrations.flask import instrument_flask
    from journy_track.integrations.jinja2 import instrument_jinja2

    app = flask.Flask(__name__)
    app.secret_key = "x"
    instrument_flask(app, user=lambda: flask.session.get("user"))
    instrument_jinja2(app.jinja_env, domain=DOMAIN, secret=SECRET)
    app.jinja_env.globals["csp_nonce"] = lambda: "n1"  # as Flask-Talisman sets it
    app.add_url_rule("/", view_func=lambda: flask.render_template_string("{{ journy_snippet() }}"))
    client = app.test_client()
    with client.session_transaction() as session:
        session["user"] = "<u1>"
    response = until(lambda: (page := client.get("/")).text and page, "it is fetched")
    page = Page(response.text)
    assert page.calls["identify"] == {"userId": "<u1>", "verification": verification_hash("<u1>", SECRET)}
    assert [attributes for attributes, _ in page.scripts] == [{"nonce": "n1"}] * 2
    assert response.headers["Vary"] == "Cookie"
    assert len(requests_of(api)) == 1


def test_a_template_of_fastapi_has_it_with_the_user_of_a_dependency(api, tracker, tmp_path):
    pytest.importorskip("fastapi")
    from fastapi import Depends, FastAPI, Request
    from fastapi.templating import Jinja2Templates

    from journy_track.integrations.asgi import JournyMiddleware
    from journy_track.integrations.jinja2 import instrument_jinja2

    (tmp_path / "page.html").write_text("{{ journy_snippet(nonce='n2') }}")
    templates = Jinja2Templates(tmp_path)
    instrument_jinja2(templates.env, domain=DOMAIN)
    app = FastAPI(dependencies=[Depends(lambda: journy_track.set_user("u1"))])
    app.add_middleware(JournyMiddleware)

    async def page(request: Request) -> Any:
        return templates.TemplateResponse(request, "page.html")

    page.__annotations__ = {"request": Request}
    app.add_api_route("/", page)
    found = Page(until(lambda: got(app), "it is fetched"))
    assert found.calls == {"identify": {"userId": "u1"}}
    assert [attributes for attributes, _ in found.scripts] == [{"nonce": "n2"}] * 2


def got(app: Any) -> str:
    """Return the body of a page of an ASGI app."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    asyncio.run(app(scope | {"http_version": "1.1", "scheme": "http", "server": ("h", 80)}, receive, send))
    return b"".join(message.get("body", b"") for message in sent).decode()


# ── Django ──

DJANGO = """
    import sys, time, types, django, journy_track
    from django.conf import settings
    from django.http import HttpResponse
    from django.template import engines
    from django.urls import path

    def page(request):
        request.csp_nonce = "n3"
        return HttpResponse(engines["django"].from_string(request.GET["template"]).render({}, request))

    def who(request):
        return request.session.get("user")

    def sign_in(request):
        request.session["user"] = "<u1>"
        return HttpResponse("")

    urlpatterns = [path("", page), path("sign-in", sign_in)]
    settings.configure(
        ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], SECRET_KEY="for tests",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                    "journy_track.integrations.django.JournyMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {
            "builtins": ["journy_track.integrations.django_snippet"],
            "context_processors": ["django.template.context_processors.request"]}}],
        JOURNY={"user": "__main__.who", "account": lambda request: "acme", "snippet": SNIPPET},
    )
    django.setup()
    journy_track.configure()
    from django.test import Client
    client = Client()
    def get(template):
        return client.get("/", {"template": template})
"""


def run_django(run_program, api, more: str, snippet: str = '{"domain": "shop.example", "secret": "s"}'):
    source = textwrap.dedent(DJANGO.replace("SNIPPET", snippet)) + textwrap.dedent(more)
    return run_program(source, JOURNY_BASE_URL=api.url)


def test_a_template_of_django_has_it_with_the_user_of_the_request(run_program, api):
    pytest.importorskip("django")
    done = run_django(
        run_program,
        api,
        """
        client.get("/sign-in")
        until = time.monotonic() + 20
        while not (response := get("{% journy_snippet %}")).content and time.monotonic() < until:
            time.sleep(0.01)
        print(response.headers["Vary"])
        print(response.content.decode())
        """,
    )
    vary, _, html = done.out.partition("\n")
    assert vary == "Cookie", done.err
    page = Page(html.strip())
    assert page.calls == {
        "identify": {"userId": "<u1>", "verification": verification_hash("<u1>", "s")},
        "account": {"accountId": "acme", "verification": verification_hash("acme", "s")},
    }
    assert [attributes for attributes, _ in page.scripts] == [{"nonce": "n3"}] * 2


def test_what_the_tag_is_given_wins_and_a_variable_that_is_missing_is_nobody(run_program, api):
    pytest.importorskip("django")
    done = run_django(
        run_program,
        api,
        """
        until = time.monotonic() + 20
        while not get("{% journy_snippet %}").content and time.monotonic() < until:
            time.sleep(0.01)
        print(get("{% journy_snippet user='u2' account=None nonce='n4' %}").content.decode().splitlines()[-1])
        print(get("{% journy_snippet user=missing.pk account=None %}").content.decode())
        """,
    )
    named, nobody = done.out.splitlines()
    assert Page(named).calls == {"identify": {"userId": "u2", "verification": verification_hash("u2", "s")}}
    assert Page(named).scripts[0][0] == {"nonce": "n4"}
    assert Page(nobody).scripts == [({"nonce": "n3"}, f"/* the snippet of {DOMAIN} */")]


def test_a_site_that_installs_the_app_loads_the_tag_by_name(run_program, api):
    pytest.importorskip("django")
    builtins = '"builtins": ["journy_track.integrations.django_snippet"],'
    assert builtins in DJANGO
    source = DJANGO.replace(builtins, "").replace(
        "settings.configure(", 'settings.configure(\n        INSTALLED_APPS=["journy_track.integrations.django"],'
    )
    done = run_program(
        textwrap.dedent(source.replace("SNIPPET", '{"domain": "shop.example"}'))
        + textwrap.dedent(
            """
            until = time.monotonic() + 20
            while not get("{% load journy_track %}{% journy_snippet %}").content and time.monotonic() < until:
                time.sleep(0.01)
            print(get("{% load journy_track %}{% journy_snippet user='u2' %}").content.decode())
            """
        ),
        JOURNY_BASE_URL=api.url,
    )
    assert Page(done.out.strip()).calls["identify"] == {"userId": "u2"}, done.err


@pytest.mark.parametrize(
    ("snippet", "said"),
    [
        ("None", 'needs JOURNY["snippet"]'),
        ('{"website": "x"}', 'needs JOURNY["snippet"]'),
        ('{"domain": ""}', "domain must be that of the website"),
    ],
)
def test_wrong_settings_of_django_are_improper(run_program, api, snippet, said):
    pytest.importorskip("django")
    done = run_django(run_program, api, "get('{% journy_snippet %}')", snippet)
    assert "ImproperlyConfigured" in done.err
    assert said in done.err
