"""A Django project whose signed-in users are the users of its events.

pip install django gunicorn uvicorn
journy-track inspect                                            # in another terminal
cd examples/django
export JOURNY_BASE_URL=http://127.0.0.1:8470
python manage.py migrate
gunicorn --preload --workers 2 shop.wsgi                        # or: uvicorn shop.asgi:application
curl -c jar -d name=jane -d company=acme localhost:8000/sign-in
curl -b jar -d title=Launch localhost:8000/projects
curl -b jar localhost:8000/export
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    execute_from_command_line(sys.argv)
