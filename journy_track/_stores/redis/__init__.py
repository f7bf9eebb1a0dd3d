"""A Redis stream as a queue: the producer's side and the relay's side."""
