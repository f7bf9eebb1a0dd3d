"""For uvicorn."""

import os

from django.core.asgi import get_asgi_application

from journy_track.integrations.asgi import JournyMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
# Django is not notified when the server stops; this delivers what is still queued then.
application = JournyMiddleware(get_asgi_application())
