"""The worker's side: from what was captured to what the API answered. Nothing here is called by the app."""
