"""A Redis stream as a queue: a producer's end, and a relay's."""
