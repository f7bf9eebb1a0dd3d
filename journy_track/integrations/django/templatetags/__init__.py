"""Django looks here for the names that `{% load %}` takes."""
