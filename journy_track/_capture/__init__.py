"""Capture on the app's thread: read the context and the clock, copy the values, and append to the queue."""
