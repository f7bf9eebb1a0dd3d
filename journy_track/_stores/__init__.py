"""Where jobs are kept until they are settled: memory, SQLite, a Redis stream."""
