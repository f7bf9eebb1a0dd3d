"""Stores that keep jobs until they are settled: in memory, in SQLite, or in a Redis stream."""
