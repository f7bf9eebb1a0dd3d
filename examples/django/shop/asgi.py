"""For uvicorn."""

import os

from django.core.asgi import get_asgi_application

from journy_track.integrations.asgi import JournyMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
# Django is not told when the server stops; this delivers what waits then.
application = JournyMiddleware(get_asgi_application())
