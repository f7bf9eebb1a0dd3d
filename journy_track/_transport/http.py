"""Sends requests to one host of journy.io, and converts the HTTP client's errors to outcomes."""

from __future__ import annotations

from collections.abc import Callable
from os import getpid
from urllib.parse import urlsplit

from journy_track._model.apart import apart
from journy_track._model.errors import MaybeSent, NotSent
from journy_track._model.http import HttpClient, HttpRequest, HttpResponse
from journy_track._model.outcomes import Deferred, Outcome, Rejected
from journy_track._model.refusing import Forbidden, refused_in_tests
from journy_track._transport.outside import interruption, raised_by_signal


class Http:
    """Sends requests to *url*'s host. Thread-safe. Creates its HTTP client at the first request of each process."""

    def __init__(
        self, url: str, timeout: float, http_client: HttpClient | None, make_client: Callable[[], HttpClient]
    ) -> None:
        self._host = urlsplit(url).hostname or ""
        self._timeout = timeout
        self._custom = http_client
        self._own: dict[int, HttpClient] = {}
        self._make_client = make_client

    def exchange(
        self,
        url: str,
        request: Callable[[float], HttpRequest],
        meaning: Callable[[HttpResponse], Outcome],
        timeout: float | None = None,
        *,
        interruptible: bool = False,
    ) -> Outcome:
        """Send a request to *url*, and return the *meaning* of the response.

        *request* creates the request, given its timeout in seconds. *timeout*: seconds, if less than the configured
        timeout. *interruptible*: raise an exception that is unrelated to the request, such as the caller's time
        limit. Ctrl-C and the like are always raised.
        """
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        try:
            return meaning(apart(self._send, url, request, seconds))
        except Forbidden as error:
            return Rejected(None, str(error))
        except NotSent as error:
            reason = str(error) or "the connection failed"
            return Deferred(reason, ambiguous=False, timed_out=error.timed_out)
        except MaybeSent as error:
            return Deferred(str(error) or "no response", ambiguous=True, timed_out=error.timed_out)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001
            # A custom HttpClient may raise anything, and the request may have been sent.
            if interruptible and (cause := self._interruption(error)) is not None:
                raise cause from None
            return Deferred(f"the HTTP client raised {type(error).__name__}", ambiguous=True)

    def _interruption(self, error: BaseException) -> BaseException | None:
        return interruption(error) if self._custom is None else raised_by_signal(error)

    def close(self) -> None:
        """Close the HTTP client, unless it is a custom one."""
        if own := self._own.get(getpid()):
            own.close()

    def _client(self) -> HttpClient:
        if self._custom is not None:
            return self._custom
        # One client per process: a forked child shares its parent's sockets and must not write to them. setdefault
        # is atomic: threads that get here at the same time use the same client, and the others are never connected.
        own = self._own.get(getpid())
        return self._own.setdefault(getpid(), self._make_client()) if own is None else own

    def _send(self, url: str, request: Callable[[float], HttpRequest], timeout: float) -> HttpResponse:
        client = self._client()
        # A test's own client does not reach the network, whatever it is. `is True`, as a Mock has every attribute.
        reaches_the_world = getattr(client, "reaches_the_world", None)
        if (why := refused_in_tests(self._host)) and callable(reaches_the_world) and reaches_the_world(url) is True:
            raise Forbidden(why)
        return client.send(request(timeout))
