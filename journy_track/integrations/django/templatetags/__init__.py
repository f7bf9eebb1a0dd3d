"""The template libraries that Django's `{% load %}` finds."""
