"""Who acts, as the settings of the project with Django Ninja name it: whom that has authenticated."""


def user_of(request):
    return request.auth


def account_of(request):
    return request.headers.get("X-Account")
