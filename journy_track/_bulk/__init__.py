"""Bulk work: a block in which calls wait for room in the queue, its report, and its progress display."""
