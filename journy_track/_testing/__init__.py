"""What stands behind `journy_track.testing` and the pytest plugin."""
