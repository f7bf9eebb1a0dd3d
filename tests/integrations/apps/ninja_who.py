"""The functions that find the user and the account; the user is the one that Django Ninja has authenticated."""


def user_of(request):
    return request.auth


def account_of(request):
    return request.headers.get("X-Account")
