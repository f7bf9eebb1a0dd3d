"""What journy.io confirmed last of each user and account, kept beyond the process: digests, and no personal data."""
