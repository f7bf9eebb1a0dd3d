"""Django's own user: looked up only when an event needs it, and without side effects."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, ClassVar

import pytest

import journy_track
from journy_track import track
from journy_track.integrations._requests import Request

django = pytest.importorskip("django", reason="needs Django")
auth = pytest.importorskip("django.contrib.auth")


#: The requests to quiet pages.
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
    thread = threading.Thread(target=copy_context().run, args=(track, "worked"))
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


class Partner:
    """A user that is not a model, for example an API client."""

    pk = id = 7
    is_authenticated = True
    is_anonymous = False


class Token(Partner):
    """Like the token user of djangorestframework-simplejwt: the method exists, but it is not a class method."""

    def get_email_field_name(self, *, required):
        raise TypeError("not as a method of an instance")


class Named(Partner):
    email = "partner@acme.com"


class Broken(Partner):
    @property
    def email(self):
        raise LookupError("no such thing")


class Lazy:
    """The kind of lazy user that a project's own middleware sets, as JWT middlewares do."""

    def __new__(cls):
        from django.utils.functional import SimpleLazyObject

        return SimpleLazyObject(Partner)


OWN_USERS = {kind.__name__: kind for kind in (Partner, Token, Named, Broken, Lazy)}


def own_user(request):
    request.user = OWN_USERS[request.GET["kind"]]()
    track("visited")
    return answer()


async def own_user_async(request):
    return own_user(request)


def impersonate(request):
    from django.contrib.auth.models import User

    track("before")
    real = request.user
    request.user = User.objects.get(username=request.GET["as"])
    track("impersonating")
    request.user = real
    track("after")
    return answer()


async def impersonate_async(request):
    from django.contrib.auth.models import User

    track("before")
    real = request.user
    request.user = await User.objects.aget(username=request.GET["as"])
    track("impersonating")
    request.user = real
    track("after")
    return answer()


def rest_view(request):
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.response import Response
    from rest_framework.views import APIView

    class ByToken(BaseAuthentication):
        def authenticate(self, request):
            return Partner(), None

    class View(APIView):
        authentication_classes: ClassVar[Any] = [ByToken]

        def get(self, request):
            track("in_view")
            return Response()

    track("in_middleware")
    return View.as_view()(request)


async def sign_in_in_a_thread(request):
    from asgiref.sync import sync_to_async

    track("opened_form_async")
    await sync_to_async(sign_in, thread_sensitive=True)(request)
    return answer()


async def sign_in_again_async(request):
    from django.contrib.auth import alogin
    from django.contrib.auth.models import User

    track("opened_form")
    await alogin(request, await User.objects.aget(username="jane"))
    track("signed_in")
    return answer()


VIEWS = (visit, quiet, look, sign_in, sign_out, fail, from_a_thread, stream, own_user, impersonate, rest_view)
ASYNC_VIEWS = (
    visit_async,
    fail_async,
    cancel_async,
    sign_in_async,
    sign_out_async,
    stream_async,
    own_user_async,
    impersonate_async,
    sign_in_in_a_thread,
    sign_in_again_async,
)


class Urls:
    """Replaces a URLconf module."""

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
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "journy_track.integrations.django",
        ],
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
    """Return a client that is signed in as Jane and uses the sync stack."""
    from django.test import Client

    client = Client(raise_request_exception=False)
    client.force_login(user("jane"))
    return client


@pytest.fixture
def fetch(_project):
    """Return a function that makes a request through the async stack, signed in as Jane."""
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


@pytest.mark.slow
def test_the_user_is_the_primary_key_and_the_email(client, kept):
    client.get("/visit")
    [event] = kept()
    assert event.user == journy_track.UserIdentified(JANE, "jane@acme.com")


@pytest.mark.parametrize("path", ["/visit", "/visit_async"])
def test_in_an_async_stack_too(fetch, kept, path):
    assert fetch(path).status_code == 200
    [event] = kept()
    assert event.user == journy_track.UserIdentified(JANE, "jane@acme.com")


@pytest.mark.parametrize("path", ["/visit", "/visit_async", "/stream_async", "/fail_async"])
def test_a_request_in_an_async_stack_keeps_nothing_of_ours_when_it_is_over(fetch, kept, path):
    # Catches: a reference cycle, which keeps the whole request until garbage collection.
    kinds = [type(value) for value in vars(fetch(path).asgi_request).values()]  # isinstance would load the user
    assert not [kind for kind in kinds if issubclass(kind, Request)]


def test_an_event_that_waits_counts_as_queued(fetch, kept):
    assert fetch("/visit_async").content == b"1"
    kept()
    stats = kept.tracker.stats()
    assert (stats.captured, stats.queued, dict(stats.dropped)) == (1, 0, {"before_send": 1})


def test_a_page_that_tracks_nothing_costs_no_query(client, fetch, kept):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from journy_track.integrations.django._user import loaded_user

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


def test_who_signs_in_is_the_user_from_then_on_in_an_async_stack_too(fetch, kept):
    if not hasattr(auth, "alogin"):
        pytest.skip("this Django has no alogin")
    assert fetch("/sign_in_async?as=joe").status_code == 200
    assert kept.who() == {"opened_form": (JANE, None), "signed_in": (JOE, None)}


def test_a_visitor_who_signs_in_in_an_async_stack_was_nobody_before(kept):
    if not hasattr(auth, "alogin"):
        pytest.skip("this Django has no alogin")
    from django.test import AsyncClient

    asyncio.run(AsyncClient().get("/sign_in_async?as=joe"))
    assert kept.who() == {"signed_in": (JOE, None)}
    assert kept.lost() == {"no_identity": 1}


def test_who_signs_in_again_is_still_who_it_was(fetch, kept):
    if not hasattr(auth, "alogin"):
        pytest.skip("this Django has no alogin")
    assert fetch("/sign_in_again_async").status_code == 200
    assert kept.who() == {"opened_form": (JANE, None), "signed_in": (JANE, None)}


@pytest.mark.parametrize("path", ["/sign_in?as=joe", "/sign_in_in_a_thread?as=joe"])
def test_a_sign_in_in_sync_code_of_an_async_stack_is_the_user_from_then_on(fetch, kept, path):
    assert fetch(path).status_code == 200
    who = kept.who()
    assert who.pop("opened_form_async", (JANE, None)) == (JANE, None)
    assert who == {"opened_form": (JANE, None), "signed_in": (JOE, None)}


@pytest.mark.parametrize("path", ["/impersonate?as=joe", "/impersonate_async?as=joe"])
def test_a_user_who_is_replaced_is_the_user_of_what_is_captured_meanwhile(client, fetch, kept, path):
    expected = {"before": (JANE, None), "impersonating": (JOE, None), "after": (JANE, None)}
    assert fetch(path).status_code == 200
    assert kept.who() == expected
    if "async" not in path:
        assert client.get(path).status_code == 200
        assert [kept.who(), len(kept())] == [expected, 6]


def test_a_user_who_is_replaced_has_an_account_of_the_own(client, fetch, kept, settings_of):
    settings_of(account=lambda request: request.user.username)
    assert client.get("/impersonate?as=joe").status_code == 200
    assert fetch("/impersonate_async?as=joe").status_code == 200
    expected = [("before", "jane"), ("impersonating", "joe"), ("after", "jane")]
    assert sorted((event.name, event.account.account_id) for event in kept()) == sorted(expected * 2)


def test_an_event_after_django_rest_frameworks_authentication_is_of_whom_that_found(client, fetch, kept):
    pytest.importorskip("rest_framework", reason="needs djangorestframework")
    expected = {"in_middleware": (JANE, None), "in_view": ("7", None)}
    for get in (client.get, fetch):
        assert get("/rest_view").status_code == 200
        assert kept.who() == expected
    assert len(kept()) == 4


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/own_user", "/own_user_async"])
@pytest.mark.parametrize(
    ("kind", "email"),
    [("Partner", None), ("Token", None), ("Named", "partner@acme.com"), ("Broken", None), ("Lazy", None)],
)
def test_the_user_may_be_an_object_of_the_projects_own(client, fetch, kept, path, kind, email):
    assert (fetch if "async" in path else client.get)(f"{path}?kind={kind}").status_code == 200
    [event] = kept()
    assert event.user == journy_track.UserIdentified("7", email)


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
    """Return a function that sets JOURNY as if the server had started with it."""
    from django.test import override_settings

    from journy_track._model.notices import Notices
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


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_consumer_of_channels_knows_who_is_signed_in(kept, client, kind):
    """As the README describes: inside `AuthMiddlewareStack`, where the scope has a user."""
    pytest.importorskip("channels", reason="needs channels")
    from asgiref.sync import async_to_sync
    from asgiref.testing import ApplicationCommunicator
    from channels.auth import AuthMiddlewareStack, login, logout
    from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

    from journy_track.integrations.asgi import JournyMiddleware

    joe = user("joe")

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            track("as_jane")
            await login(self.scope, joe)
            track("as_joe")
            await logout(self.scope)
            track("as_nobody", account="acme")
            await self.send("done")

    class Sync(WebsocketConsumer):
        def receive(self, text_data=None, bytes_data=None):
            track("as_jane")
            async_to_sync(login)(self.scope, joe)
            track("as_joe")
            async_to_sync(logout)(self.scope)
            track("as_nobody", account="acme")
            self.send("done")

    consumer = (Async if kind == "async" else Sync).as_asgi()
    app = AuthMiddlewareStack(JournyMiddleware(consumer, user=lambda scope: scope["user"].pk))
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()

    async def talk() -> None:
        browser = ApplicationCommunicator(app, {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)]})
        await browser.send_input({"type": "websocket.connect"})
        assert (await browser.receive_output(10))["type"] == "websocket.accept"
        await browser.send_input({"type": "websocket.receive", "text": "hello"})
        assert (await browser.receive_output(10))["text"] == "done"
        await browser.send_input({"type": "websocket.disconnect", "code": 1000})
        await browser.wait(10)

    asyncio.run(talk())
    assert kept.who() == {"as_jane": (JANE, None), "as_joe": (JOE, None), "as_nobody": (None, "acme")}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_request_that_is_skipped_tracks_nothing(client, fetch, kept, settings_of, kind):
    settings_of(skip=lambda request: request.user.username == request.GET["skip"])
    get, path = (client.get, "/visit") if kind == "sync" else (fetch, "/visit_async")
    for skipped in ("jane", "joe"):
        assert get(f"{path}?skip={skipped}").status_code == 200
    assert kept.who() == {"visited": (JANE, None)}
    assert len(kept()) == 1
    assert kept.lost() == {"suppressed": 1}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_request_of_a_service_of_ones_own_says_who_acts(kept, settings_of, kind):
    from asgiref.sync import async_to_sync
    from django.test import AsyncClient, Client

    carrier: dict[str, str] = {}
    with journy_track.user("u1"), journy_track.account("acme"):
        journy_track.inject(carrier)
    settings_of(trust=lambda request: request.GET["from"] == "shop")
    for sender in ("shop", "stranger"):
        if kind == "sync":
            Client().get(f"/visit?from={sender}", headers=carrier)
        else:
            async_to_sync(AsyncClient().get)(f"/visit_async?from={sender}", headers=carrier)
    assert kept.who() == {"visited": ("u1", "acme")}
    assert len(kept()) == 1


def test_a_trust_that_is_no_function_is_refused(settings_of):
    from django.core.exceptions import ImproperlyConfigured

    from journy_track.integrations.django import JournyMiddleware

    settings_of(trust=1)
    with pytest.raises(ImproperlyConfigured):
        JournyMiddleware(lambda request: answer())


# ── This library's Django app, in one process; test_django_app.py and test_django_sync.py use real sites ──


@pytest.fixture
def connected() -> Iterator[Any]:
    """Return a function that connects signals, for one test."""
    from django.contrib.auth import get_user_model

    from journy_track.integrations.django._events import connect, signals_of

    made: list[Any] = []

    def use(**journy: Any) -> None:
        connect(journy)
        made.extend(signals_of(journy))

    yield use
    for wanted in made:
        sender = get_user_model() if wanted.name == "user_created" else None
        assert wanted.signal.disconnect(sender=sender, dispatch_uid=f"journy_track.{wanted.name}")


SIGNALS = {"user_logged_in": "came", "user_logged_out": "went"}


@pytest.mark.parametrize("own", [False, True], ids=["the user", "JOURNY's"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_signals_of_a_request_are_events_of_its_user(client, fetch, kept, settings_of, connected, kind, own):
    if kind == "async" and not hasattr(auth, "alogin"):
        pytest.skip("this Django has no alogin")
    journy = {"user": lambda request: f"own-{request.user.pk}" if request.user.is_authenticated else None}
    settings_of(**journy if own else {})
    connected(events=SIGNALS, **journy if own else {})
    get, suffix = (client.get, "") if kind == "sync" else (fetch, "_async")
    assert get(f"/sign_in{suffix}?as=joe").status_code == 200
    who = kept.who()
    assert who["came"] == (f"own-{JOE}" if own else JOE, None)


def test_a_new_user_is_an_event_once(kept, connected):
    from django.contrib.auth.models import User

    connected(events={"user_created": "signed_up"})
    new = User.objects.create_user("jim", "jim@acme.com", "secret")
    new.save()
    new.delete()
    assert [(event.name, event.user.email) for event in kept()] == [("signed_up", "jim@acme.com")]


@pytest.mark.parametrize(
    "journy",
    [
        {"events": {"user_signed_up": "signed_up"}},
        {"events": {"user_logged_in": " "}},
        {"events": {"user_created": "signed_up"}, "user": "shop.user_of"},
        {"events": {"nothing": "signed_up"}},
    ],
    ids=str,
)
def test_an_event_that_cannot_be_is_refused(journy):
    from django.core.exceptions import ImproperlyConfigured

    from journy_track.integrations.django._events import signals_of

    with pytest.raises(ImproperlyConfigured, match=r"JOURNY\['events'\]"):
        signals_of(journy)


def test_events_without_the_app_are_refused(settings_of):
    from django.core.exceptions import ImproperlyConfigured
    from django.test import modify_settings

    from journy_track.integrations.django import JournyMiddleware

    settings_of(events=SIGNALS)
    JournyMiddleware(lambda request: answer())
    with (
        modify_settings(INSTALLED_APPS={"remove": "journy_track.integrations.django"}),
        pytest.raises(ImproperlyConfigured, match="in INSTALLED_APPS"),
    ):
        JournyMiddleware(lambda request: answer())


@pytest.mark.parametrize(
    ("journy", "wrong"),
    [
        ({}, 0),
        ({"sync": {"accounts": list, "state": "state"}, "trust": "signed", "skip": None}, 0),
        (["user"], 1),
        ({"usr": "os.getcwd", "sync": {"users": "os.nothing", "stat": "state"}}, 2),
        ({"user": "os.nothing", "account": 3, "sync": {"users": "os.nothing"}}, 3),
    ],
    ids=str,
)
def test_the_check_has_an_error_for_each_mistake(journy, wrong):
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(JOURNY=journy):
        assert [error.id for error in run_checks(tags=["journy"])] == ["journy_track.E001"] * wrong


def test_the_deployment_is_warned_of_a_missing_key(kept):
    from django.core.checks import run_checks

    def warned() -> list[str]:
        return [error.id for error in run_checks(tags=["journy"], include_deployment_checks=True)]

    assert warned() == []
    journy_track.configure()
    assert warned() == ["journy_track.W002"]
    journy_track.configure(enabled=False)
    assert warned() == []


def sync(*arguments: str, **sync: Any) -> str:
    """Run `manage.py journy_sync` and return its output."""
    import io

    from django.core.management import call_command
    from django.test import override_settings

    out = io.StringIO()
    with override_settings(JOURNY={"sync": sync} if sync else {}):
        call_command("journy_sync", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_syncs_what_is_asked_for(api, tmp_path):
    from django.contrib.auth.models import User
    from django.core.management import CommandError
    from django.db.models import F

    def users():
        return User.objects.values("first_name", "email", user_id=F("pk")).iterator()

    named = {"accounts": lambda: [("acme", {"plan": "pro"})], "users": users, "state": tmp_path / "state"}
    journy_track.configure()
    with pytest.raises(CommandError, match="there is no key"):
        sync(**named)
    journy_track.configure(enabled=False)
    assert sync(**named) == "journy_track is disabled: nothing was sent\n"
    journy_track.configure("test-key-0123456789", base_url=api.url)
    assert "1 would be sent" in sync("accounts", "--dry-run", **named)
    assert sync("users", **named).startswith("users: 2 captured, 2 delivered")
    assert sync(**named).splitlines()[0].startswith("accounts: 1 captured, 1 delivered")
    assert "2 delivered" in sync("users", "--all", **named)
    for wrong in ({}, {"accounts": "os.nothing"}, {"accounts": lambda: None, "state": tmp_path / "state"}):
        with pytest.raises(CommandError):
            sync(**wrong)


def test_the_command_fails_where_something_was_given_up(api, tmp_path):
    from django.core.management import CommandError

    journy_track.configure("test-key-0123456789", base_url=api.url)
    api.answer_next(400)
    with pytest.raises(CommandError, match="not everything was delivered: accounts"):
        sync(accounts=lambda: [("acme", {"plan": "pro"})], state=tmp_path / "state")
