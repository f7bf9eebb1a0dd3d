"""The app's thread: look at the context and the clock, copy, append, return."""
