"""A Django REST framework API with its own authentication, which replaces Django's user."""

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    MIDDLEWARE=["journy_track.integrations.django.JournyMiddleware"],
    JOURNY={"account": "django_who.account_of", "link_devices": True},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["rest_auth.ByHeader"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from shared import PLAIN, plain, streamed  # noqa: E402


class Serve(APIView):
    def get(self, request, action, number):
        if action in PLAIN:
            plain(action, number)
            return HttpResponse("ok")
        return StreamingHttpResponse(streamed(action, number))


urlpatterns = [path("<action>/<number>", Serve.as_view())]
wsgi = get_wsgi_application()
