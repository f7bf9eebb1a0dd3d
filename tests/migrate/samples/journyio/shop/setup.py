"""How it is set up, once for each process."""

import os

from journyio.client import Client, Config
from journyio.httpclient import HttpClientRequests

http_client = HttpClientRequests()
config = Config(os.environ["JOURNY_API_KEY"], os.environ["JOURNY_ROOT_URL"])
client = Client(http_client, config)
