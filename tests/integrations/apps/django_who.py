"""Who acts, as the settings of the Django project name it."""


def user_of(request):
    return request.headers["X-User"]


def account_of(request):
    return request.headers.get("X-Account")
