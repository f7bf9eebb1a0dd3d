"""How it is set up, once for each process."""

import os

import posthog
from posthog import Posthog

posthog.project_api_key = os.environ.get("POSTHOG_API_KEY", "phc_a_key")
posthog.host = "https://eu.i.posthog.com"

#: For what runs at night.
nightly = Posthog("phc_another_key", host="https://eu.i.posthog.com")
