"""A Django project in one file, for sync and async servers."""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=["journy_track.integrations.django.JournyMiddleware"],
    JOURNY={"user": "django_who.user_of", "account": "django_who.account_of", "link_devices": True},
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from shared import PLAIN, async_streamed, plain, streamed  # noqa: E402

from journy_track.integrations.asgi import JournyMiddleware  # noqa: E402


def serve(request, action, number):
    if action in PLAIN:
        plain(action, number)
        return HttpResponse("ok")
    # Under ASGI, Django would consume a sync body as a whole, and an endless one forever.
    asynchronous = hasattr(request, "scope")
    return StreamingHttpResponse((async_streamed if asynchronous else streamed)(action, number))


async def serve_async(request, action, number):
    return serve(request, action, number)


urlpatterns = [
    path("<action>/<number>", serve),
    path("async/<action>/<number>", serve_async),
]

wsgi = get_wsgi_application()
asgi = JournyMiddleware(get_asgi_application())
