"""Django's own user: asked for when an event needs it, and without a trace."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import journy_track
from journy_track import track

django = pytest.importorskip("django", reason="needs Django")
auth = pytest.importorskip("django.contrib.auth")


#: The requests of quiet pages.
seen: list[Any] = []


def visit(request):
    track("visited")
    return answer()


def quiet(request):
    seen.append(request)
    return answer()


def look(request):
    assert request.user.is_authenticated
    return answer()


def answer(text="ok"):
    from django.http import HttpResponse

    return HttpResponse(text)


def sign_in(request):
    from django.contrib.auth import login
    from django.contrib.auth.models import User

    track("opened_form")
    login(request, User.objects.get(username=request.GET["as"]))
    track("signed_in")
    return answer()


def sign_out(request):
    from django.contrib.auth import logout

    track("left")
    logout(request)
    track("seen_goodbye", account="acme")
    return answer()


def fail(request):
    track("failed")
    raise RuntimeError("as asked")


def from_a_thread(request):
    thread = threading.Thread(target=journy_track.in_context(lambda: track("worked")))
    thread.start()
    thread.join()
    assert journy_track.get_tracker().stats().queued == 1
    return answer()


def stream(request):
    from django.http import StreamingHttpResponse

    def parts():
        track("streamed")
        yield b"part"

    return StreamingHttpResponse(parts())


async def visit_async(request):
    track("visited")
    waiting = journy_track.get_tracker().stats().queued
    return answer(str(waiting))


async def fail_async(request):
    track("failed")
    raise RuntimeError("as asked")


async def cancel_async(request):
    track("cancelled")
    raise asyncio.CancelledError


async def sign_in_async(request):
    from django.contrib.auth import alogin
    from django.contrib.auth.models import User

    track("opened_form")
    await alogin(request, await User.objects.aget(username=request.GET["as"]))
    track("signed_in")
    return answer()


async def sign_out_async(request):
    from django.contrib.auth import alogout

    track("left")
    await alogout(request)
    track("seen_goodbye", account="acme")
    return answer()


async def stream_async(request):
    from django.http import StreamingHttpResponse

    async def parts():
        track("streamed")
        yield b"part"

    return StreamingHttpResponse(parts())


VIEWS = (visit, quiet, look, sign_in, sign_out, fail, from_a_thread, stream)
ASYNC_VIEWS = (visit_async, fail_async, cancel_async, sign_in_async, sign_out_async, stream_async)


class Urls:
    """What stands for a module of URLs."""

    urlpatterns: ClassVar[list[Any]] = []


@pytest.fixture(scope="session")
def _project(tmp_path_factory) -> None:
    from django.conf import settings

    settings.configure(
        SECRET_KEY="for tests",
        ROOT_URLCONF=Urls,
        ALLOWED_HOSTS=["testserver"],
        USE_TZ=True,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": tmp_path_factory.mktemp("django") / "db.sqlite3",
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "journy_track.integrations.django.JournyMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.urls import path

    Urls.urlpatterns = [path(view.__name__, view) for view in (*VIEWS, *ASYNC_VIEWS)]
    call_command("migrate", verbosity=0)
    for name in ("jane", "joe"):
        User.objects.create_user(name, f"{name}@acme.com", "secret")


@pytest.fixture(autouse=True)
def _django(_project, kept) -> Iterator[None]:
    logging.getLogger("django").setLevel(logging.CRITICAL)
    yield
    from django.db import connections

    connections.close_all()


def user(name: str) -> Any:
    from django.contrib.auth.models import User

    return User.objects.get(username=name)


@pytest.fixture
def client(_project):
    """Signed in as Jane. Its requests go through a sync stack."""
    from django.test import Client

    client = Client(raise_request_exception=False)
    client.force_login(user("jane"))
    return client


@pytest.fixture
def fetch(_project):
    """Makes a request through an async stack, signed in as Jane."""
    from django.test import AsyncClient

    client = AsyncClient(raise_request_exception=False)
    client.force_login(user("jane"))

    def request(path: str) -> Any:
        async def run() -> Any:
            response = await client.get(path)
            if response.streaming:
                assert [part async for part in response] == [b"part"]
                response.close()
            return response

        return asyncio.run(run())

    request.client = client
    return request


JANE = "1"
JOE = "2"


def test_the_user_is_the_primary_key_and_the_email(client, kept):
    client.get("/visit")
    [event] = kept()
    assert event.user == journy_track.UserIdentified(JANE, "jane@acme.com")


@pytest.mark.parametrize("path", ["/visit", "/visit_async"])
def test_in_an_async_stack_too(fetch, kept, path):
    assert fetch(path).status_code == 200
    [event] = kept()
    assert event.user == journy_track.UserIdentified(JANE, "jane@acme.com")


def test_an_event_that_waits_counts_as_queued(fetch, kept):
    assert fetch("/visit_async").content == b"1"
    kept()
    stats = kept.tracker.stats()
    assert (stats.captured, stats.queued, dict(stats.dropped)) == (1, 0, {"before_send": 1})


def test_a_page_that_tracks_nothing_costs_no_query(client, fetch, kept):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from journy_track.integrations.django import loaded_user

    with CaptureQueriesContext(connection) as queries:
        client.get("/quiet")
    assert len(queries) == 0
    fetch("/quiet")
    assert loaded_user(seen.pop()) is None


@pytest.mark.parametrize(("path", "varies"), [("/visit", False), ("/quiet", False), ("/look", True)])
def test_no_page_gains_vary_cookie_by_being_tracked(client, fetch, path, varies):
    assert client.get(path).has_header("Vary") is varies
    assert fetch(path).has_header("Vary") is varies


def test_a_visitor_is_nobody(kept):
    from django.test import Client

    assert Client().get("/visit").status_code == 200
    assert kept.lost() == {"no_identity": 1}


def test_who_signs_in_is_the_user_from_then_on(client, kept):
    client.get("/sign_in?as=joe")
    assert kept.who() == {"opened_form": (JANE, None), "signed_in": (JOE, None)}


def test_who_signs_in_is_not_the_user_of_what_was_before(fetch, kept):
    """In an async stack nobody knows any more who it was: nobody, and never the other one."""
    if not hasattr(auth, "alogin"):
        pytest.skip("this Django has no alogin")
    assert fetch("/sign_in_async?as=joe").status_code == 200
    assert kept.who() == {"signed_in": (JOE, None)}
    assert kept.lost() == {"no_identity": 1}


def test_who_signs_out_is_the_user_until_then(client, kept):
    client.get("/sign_out")
    assert kept.who() == {"left": (JANE, None), "seen_goodbye": (None, "acme")}


def test_who_signs_out_is_the_user_until_then_in_an_async_stack_too(fetch, kept):
    if not hasattr(auth, "alogout"):
        pytest.skip("this Django has no alogout")
    assert fetch("/sign_out_async").status_code == 200
    assert kept.who() == {"left": (JANE, None), "seen_goodbye": (None, "acme")}


def test_a_view_that_raises_keeps_its_event_and_its_user(client, fetch, kept):
    assert client.get("/fail").status_code == 500
    assert kept.who() == {"failed": (JANE, None)}


def test_an_async_view_that_raises_keeps_its_event_and_its_user(fetch, kept):
    assert fetch("/fail_async").status_code == 500
    assert kept.who() == {"failed": (JANE, None)}


def test_a_request_that_is_cancelled_leaves_nothing_waiting(fetch, kept):
    with pytest.raises(asyncio.CancelledError):
        fetch("/cancel_async")
    assert kept.who() == {"cancelled": (JANE, None)}
    assert kept.tracker.stats().queued == 0


def test_an_event_of_another_thread_waits_for_the_requests_own(client, kept):
    assert client.get("/from_a_thread").status_code == 200
    assert kept.who() == {"worked": (JANE, None)}


def test_a_streamed_body_has_the_user(client, fetch, kept):
    assert b"".join(client.get("/stream").streaming_content) == b"part"
    assert fetch("/stream_async").status_code == 200
    assert [event.user.user_id for event in kept()] == [JANE, JANE]


@pytest.mark.parametrize("path", ["/visit", "/visit_async"])
def test_a_function_that_raises_is_logged_and_the_request_goes_on(client, fetch, kept, caplog, settings_of, path):
    settings_of(account="integrations.no_such.account")
    from django.core.exceptions import ImproperlyConfigured

    with pytest.raises(ImproperlyConfigured, match="no_such"):
        client.get("/visit")

    def broken(request):
        raise LookupError(request.user.email)

    settings_of(account=broken)
    for _ in range(3):
        assert (client.get if path == "/visit" else fetch)(path).status_code == 200
    assert [event.user.user_id for event in kept()] == [JANE] * 3
    said = [record.getMessage() for record in caplog.records if "account" in record.getMessage()]
    assert len(said) == 1
    assert "LookupError" in said[0]
    assert "jane" not in said[0]


def test_functions_may_look_at_the_user_and_be_async(client, fetch, kept, settings_of):
    async def account(request):
        return (await request.auser()).email.split("@")[1]

    def plan(request):
        return {"plan": "pro" if request.user.username == "jane" else "free"}

    settings_of(metadata=plan)
    client.get("/visit")
    fetch("/visit_async")
    assert [event.metadata["plan"] for event in kept()] == ["pro", "pro"]
    if django.VERSION < (5, 0):
        return
    settings_of(account=account, metadata=plan)
    assert fetch("/visit_async").status_code == 200
    assert kept()[-1].account.account_id == "acme.com"


@pytest.mark.parametrize("path", ["/sign_out_async", "/sign_out"])
def test_who_signs_out_keeps_the_account_too(fetch, kept, settings_of, path):
    if not hasattr(auth, "alogout"):
        pytest.skip("this Django has no alogout")
    settings_of(account=lambda request: request.user.email.split("@")[1])
    assert fetch(path).status_code == 200
    assert kept.who() == {"left": (JANE, "acme.com"), "seen_goodbye": (None, "acme")}


@pytest.fixture
def settings_of(client, fetch) -> Iterator[Any]:
    """Sets JOURNY, as if the server had started with it."""
    from django.test import override_settings

    from journy_track._delivery.notices import Notices
    from journy_track.integrations import _requests

    _requests._notices = Notices()
    active: list[Any] = []

    def use(**journy: Any) -> None:
        while active:
            active.pop().disable()
        active.append(override_settings(JOURNY=journy))
        active[0].enable()
        for browser in (client, fetch.client):
            browser.handler._middleware_chain = None

    yield use
    while active:
        active.pop().disable()
