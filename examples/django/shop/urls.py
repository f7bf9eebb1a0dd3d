"""The project's URLs."""

from django.urls import path

from shop import views

urlpatterns = [
    path("sign-in", views.sign_in),
    path("sign-out", views.sign_out),
    path("projects", views.projects),
    path("export", views.export),
]
