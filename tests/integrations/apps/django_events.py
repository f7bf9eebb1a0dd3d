"""A site that sends events from signals: `django_events.py JOURNY allauth`, and some activity on it."""

import json
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path

import journy_track

journy, with_allauth = json.loads(sys.argv[1]), sys.argv[2:] == ["allauth"]


def account_of(request):
    return request.user.email.partition("@")[2] if request.user.is_authenticated else None


def user_of(request):
    return f"own-{request.user.username}" if request.user.is_authenticated else None


def sign_in(request):
    user = authenticate(request, username=request.POST["name"], password=request.POST["password"])
    if user is not None:
        login(request, user)
    return HttpResponse("hello")


def sign_out(request):
    logout(request)
    return HttpResponse("goodbye")


def invite(request):
    """Create a user, then let the transaction fail unless told otherwise."""
    try:
        with transaction.atomic():
            User.objects.create_user(request.POST["name"], f"{request.POST['name']}@acme.com", "secret")
            if "fail" in request.POST:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    return HttpResponse("invited")


class Urls:
    """Filled in below: allauth's URLs need the apps."""


settings.configure(
    SECRET_KEY="for tests",
    ROOT_URLCONF=Urls,
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "django.contrib.messages",
        *(["allauth", "allauth.account"] if with_allauth else []),
        "journy_track.integrations.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "journy_track.integrations.django.JournyMiddleware",
        *(["allauth.account.middleware.AccountMiddleware"] if with_allauth else []),
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    ACCOUNT_EMAIL_VERIFICATION="none",
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    JOURNY=journy,
)
sys.modules["shop"] = sys.modules["__main__"]  # so that the settings can name this module's functions
journy_track.configure()
django.setup()

from django.contrib.auth import authenticate, login, logout  # noqa: E402 - needs the apps
from django.contrib.auth.models import User  # noqa: E402
from django.core import serializers  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.test import Client  # noqa: E402

Urls.urlpatterns = [path(view.__name__, view) for view in (sign_in, sign_out, invite)]
if with_allauth:
    Urls.urlpatterns.append(path("accounts/", include("allauth.urls")))
call_command("migrate", verbosity=0)
client = Client()
client.post("/invite", {"name": "jane"})
client.post("/invite", {"name": "joe", "fail": "yes"})
client.post("/sign_in", {"name": "jane", "password": "wrong"})
client.post("/sign_in", {"name": "jane", "password": "secret"})
client.post("/sign_out")
client.post("/sign_out")  # no user is signed in
jane = User.objects.get(username="jane")
jane.first_name = "Jane"
jane.save()
with tempfile.TemporaryDirectory() as folder:
    fixture = Path(folder) / "users.json"
    fixture.write_text(serializers.serialize("json", [User(pk=17, username="jim", email="jim@acme.com")]))
    call_command("loaddata", str(fixture), verbosity=0)
if with_allauth:
    new = {"username": "jill", "email": "jill@acme.com", "password1": "a-long-secret", "password2": "a-long-secret"}
    response = client.post("/accounts/signup/", new)
    assert response.status_code == 302, response.content
journy_track.flush(10)
