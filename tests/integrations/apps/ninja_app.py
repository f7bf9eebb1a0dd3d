"""A Django Ninja API with its own authentication, which finds the user after the middleware has run."""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    MIDDLEWARE=["journy_track.integrations.django.JournyMiddleware"],
    JOURNY={"user": "ninja_who.user_of", "account": "ninja_who.account_of", "link_devices": True},
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI  # noqa: E402
from ninja.security import APIKeyHeader  # noqa: E402
from shared import PLAIN, async_streamed, plain, streamed  # noqa: E402

from journy_track.integrations.asgi import JournyMiddleware  # noqa: E402


class ByHeader(APIKeyHeader):
    param_name = "X-User"

    def authenticate(self, request, key):
        return key


api = NinjaAPI(auth=ByHeader(), openapi_url=None)


@api.get("{action}/{number}")
def serve(request, action: str, number: str):
    if action in PLAIN:
        plain(action, number)
        return HttpResponse("ok")
    asynchronous = hasattr(request, "scope")
    return StreamingHttpResponse((async_streamed if asynchronous else streamed)(action, number))


@api.get("async/{action}/{number}")
async def serve_async(request, action: str, number: str):
    if action in PLAIN:
        plain(action, number)
        return HttpResponse("ok")
    return StreamingHttpResponse(async_streamed(action, number))


urlpatterns = [path("", api.urls)]
wsgi = get_wsgi_application()
asgi = JournyMiddleware(get_asgi_application())
