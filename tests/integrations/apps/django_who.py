"""The functions that find the user and the account, named in the settings of the Django project."""


def user_of(request):
    return request.headers["X-User"]


def account_of(request):
    return request.headers.get("X-Account")
