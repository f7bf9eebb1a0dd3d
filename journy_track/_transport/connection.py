"""An HTTP/1.1 connection that writes requests and reads their responses, within bounds on time and size."""

from __future__ import annotations

import http.client
import io
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from urllib3 import HTTPHeaderDict
from urllib3.util import wait_for_read

from journy_track._model.errors import MaybeSent, NotSent
from journy_track._model.http import HttpResponse
from journy_track._transport.deadline import Bounds
from journy_track._transport.unpacking import body_of

#: Bytes that are sent between two checks of the deadline: the size of a TLS record.
_RECORD = 16 * 1024


class HttpConnection:
    """A connected socket, used by one request at a time.

    *sock* may be any object with the socket methods used here: TLS within TLS is not a real socket.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        #: Whether the connection can be used for another request.
        self.reusable = False
        #: When it was last used, by the clock of the pool that keeps it.
        self.idle_since = 0.0

    def exchange(self, data: memoryview, method: str, bounds: Bounds, limit: int) -> HttpResponse:
        """Write *data*, a complete request, and read the response with the first *limit* bytes of its body.

        Raises `NotSent` or `MaybeSent`. After any exception, the connection is not reusable.
        """
        self.reusable = False
        try:
            self._write(data, bounds)
        except TimeoutError:
            failed = MaybeSent if bounds.sent else NotSent
            raise failed(
                "the request could not be sent in time" if bounds.sent else "connecting timed out", timed_out=True
            ) from None
        except OSError:
            raise MaybeSent("the connection broke") from None
        try:
            response = BoundedResponse(self._sock, bounds, method)
            response.begin()
        except TimeoutError:
            raise MaybeSent("no response in time", timed_out=True) from None
        except (OSError, http.client.HTTPException, ValueError):
            raise MaybeSent("the connection broke") from None
        try:
            headers = HTTPHeaderDict(response.headers.items())
            body = body_of(response.read_some, headers.get("Content-Encoding"), bounds.deadline, limit)
            self.reusable = response.was_read
            return HttpResponse(response.status, headers, body)
        finally:
            response.close()

    def is_usable(self) -> bool:
        """Whether the server has kept the connection open. Unsolicited data also makes it unusable."""
        try:
            return not wait_for_read(self._sock, timeout=0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the connection immediately."""
        with suppress(OSError):
            self._sock.close()

    def _write(self, data: memoryview, bounds: Bounds) -> None:
        bounds.seconds_left()
        bounds.begin()
        with suppress(BrokenPipeError):  # the server may have responded before it closed the connection
            for start in range(0, len(data), _RECORD):
                self._sock.settimeout(bounds.seconds_left())
                self._sock.sendall(data[start : start + _RECORD])


class BoundedResponse(http.client.HTTPResponse):
    """A response that is read only within the bounds on time and size."""

    def __init__(self, sock: Any, bounds: Bounds, method: str) -> None:
        super().__init__(_Readable(sock, bounds), method=method)  # type: ignore[arg-type]  # asks for makefile only

    def begin(self) -> None:
        """Read the head of the final response. http.client itself only skips 100 (Continue)."""
        super().begin()
        while 100 < self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first
            super().begin()
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.will_close = True  # we did not ask to switch protocols, and what follows is not HTTP

    def read_some(self, size: int) -> bytes:
        """Return up to *size* bytes of the body, as soon as some arrive. Raises `IncompleteRead` if it is cut off.

        `read` would wait for all *size* bytes, no matter how slowly they arrive.
        """
        some = self.read1(size)
        if not some and self.length:
            raise http.client.IncompleteRead(b"", self.length)
        return some

    @property
    def was_read(self) -> bool:
        """Whether the whole response was read, so that its connection can be used for another request."""
        return not self.will_close and not self.length and (self.isclosed() or self.length == 0)


class _Readable:
    """The part of a socket that http.client needs to read a response."""

    def __init__(self, sock: Any, bounds: Bounds) -> None:
        self._sock = sock
        self._bounds = bounds

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(BoundedReader(self._sock, self._bounds))


class BoundedReader(io.RawIOBase):
    """Reads from a socket. Sets its timeout to the time left before each read, and ends when no bytes are left."""

    def __init__(self, sock: Any, bounds: Bounds) -> None:
        self._sock = sock
        self._bounds = bounds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        bounds = self._bounds
        left = bounds.bytes_left
        if left <= 0:
            return 0
        self._sock.settimeout(bounds.seconds_left())
        count: int = self._sock.recv_into(buffer if len(buffer) <= left else memoryview(buffer)[:left])
        bounds.bytes_left = left - count
        return count
