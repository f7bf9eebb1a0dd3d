"""The implementation of `journy_track.testing` and the pytest plugin."""
