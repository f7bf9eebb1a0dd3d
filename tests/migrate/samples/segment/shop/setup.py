"""How it is set up, once for each process."""

import os

import segment.analytics as analytics

analytics.write_key = os.environ.get("SEGMENT_WRITE_KEY", "a-write-key")
