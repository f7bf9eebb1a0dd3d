"""Persists digests, without personal data, of what journy.io last confirmed for each user and account."""
