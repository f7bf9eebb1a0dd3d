"""Syncs all accounts or users of an app to journy.io, sending only what changed."""
