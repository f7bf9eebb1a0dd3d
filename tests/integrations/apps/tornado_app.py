"""A Tornado app, which serves itself."""

import asyncio
import signal
import socket
import sys
from contextlib import aclosing

from shared import PLAIN, async_streamed, plain
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from journy_track.integrations.tornado import JournyHandlerMixin


class Handler(JournyHandlerMixin, RequestHandler):
    journy_link_devices = True

    def journy_user(self):
        return self.request.headers["X-User"]

    async def journy_account(self):
        await asyncio.sleep(0)  # like a lookup in a database
        return self.request.headers.get("X-Account")

    async def get(self, action, number):
        if action in PLAIN:
            plain(action, number)
            self.write("ok")
            return
        async with aclosing(async_streamed(action, number)) as chunks:
            async for chunk in chunks:
                self.write(chunk)
                await self.flush()


async def main():
    server = HTTPServer(Application([(r"/(\w+)/(\d+)", Handler)]))
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.setblocking(False)
    server.add_socket(listener)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.stop()
    await server.close_all_connections()


if __name__ == "__main__":
    asyncio.run(main())
