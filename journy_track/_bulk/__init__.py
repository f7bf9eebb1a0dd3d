"""Many at once: a block in which verbs wait for room, its report, and what it shows."""
