"""Who acts, for the API of Django REST framework: a user that is no model."""

from rest_framework.authentication import BaseAuthentication


class Partner:
    is_authenticated = True

    def __init__(self, pk):
        self.pk = pk


class ByHeader(BaseAuthentication):
    def authenticate(self, request):
        return Partner(request.headers["X-User"]), None
