"""Requests to one host of journy.io, and what may come of them: the HTTP client, and its errors as outcomes."""

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
    """Sends requests to *url*'s host. Thread-safe; the HTTP client is made at the first request of each process."""

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
        """Send the *request* to *url*, made for so many seconds, and return the *meaning* of what was received.

        *timeout*: seconds, below the configured ones. *interruptible*: an exception that has nothing to do with the
        request, as a time limit of the caller's, is raised. Ctrl-C and the like always are.
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
            # A custom HttpClient may raise anything: it may have been sent.
            if interruptible and (cause := self._interruption(error)) is not None:
                raise cause from None
            return Deferred(f"the HTTP client raised {type(error).__name__}", ambiguous=True)

    def _interruption(self, error: BaseException) -> BaseException | None:
        return interruption(error) if self._custom is None else raised_by_signal(error)

    def close(self) -> None:
        """Close the HTTP client, if it is ours."""
        if own := self._own.get(getpid()):
            own.close()

    def _client(self) -> HttpClient:
        if self._custom is not None:
            return self._custom
        # By process: a forked child shares its parent's sockets, and must not write to them. setdefault is
        # atomic: threads that come first together use one client, and those left over have not connected.
        own = self._own.get(getpid())
        return self._own.setdefault(getpid(), self._make_client()) if own is None else own

    def _send(self, url: str, request: Callable[[float], HttpRequest], timeout: float) -> HttpResponse:
        client = self._client()
        # A client of the test's own does not reach the world, whatever it is: a Mock has every attribute.
        reaches_the_world = getattr(client, "reaches_the_world", None)
        if (why := refused_in_tests(self._host)) and callable(reaches_the_world) and reaches_the_world(url) is True:
            raise Forbidden(why)
        return client.send(request(timeout))
