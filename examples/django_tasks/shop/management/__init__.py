"""The app of the site."""
