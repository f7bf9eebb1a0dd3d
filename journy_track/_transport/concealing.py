"""Serialises requests to bytes without ever storing the API key in a variable, so that no error report shows it."""

from __future__ import annotations

import re

from requests.utils import requote_uri

from journy_track._model.http import HttpRequest
from journy_track._model.secret import Secret

#: Headers whose values are concealed: the API key, and credentials for a gateway in front of the API.
_SECRET = frozenset({"x-api-key", "authorization"})
#: Methods for which servers expect a length even if there is no body.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_is_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\xa0-\xff]*").fullmatch  # a line break would begin another header
_is_target = re.compile(r"[!-~]+").fullmatch
#: The placeholders of concealed values, replaced at the last moment. A header cannot contain a NUL.
_stand_ins = re.compile(rb"\0(\d+)\0")


def bytes_of(request: HttpRequest, target: str, host: str, proxy_authorization: Secret | None = None) -> memoryview:
    """Return the head and body of *request*, as an object whose `repr` does not show them.

    *target* is the target in the request line: the path, or the whole URL for a proxy. Raises `ValueError` if the
    method or a header is not valid in HTTP.
    """
    names = {name.lower() for name in request.headers}
    concealed: list[Secret] = []
    if not (_is_token(request.method) and all(map(_is_token, names))):
        raise ValueError("the method, or the name of a header, is not valid")
    lines = [f"{request.method} {target if _is_target(target) else requote_uri(target)} HTTP/1.1"]
    if "host" not in names:
        lines.append(f"Host: {host}")
    if "accept-encoding" not in names:
        lines.append("Accept-Encoding: identity")
    if "content-length" not in names and (request.body is not None or request.method in _WITH_BODY):
        lines.append(f"Content-Length: {len(request.body or b'')}")
    for name in request.headers:
        if not _is_value(request.headers[name]):
            raise ValueError("the value of a header is not valid")
        if name.lower() in _SECRET:
            lines.append(f"{name}: \0{len(concealed)}\0")
            concealed.append(Secret(request.headers[name]))
        else:
            lines.append(f"{name}: {request.headers[name]}")
    if proxy_authorization is not None:
        lines.append(f"Proxy-Authorization: \0{len(concealed)}\0")
        concealed.append(proxy_authorization)
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    # A single expression, as a variable would reveal its value in error reports.
    return memoryview(
        _stand_ins.sub(lambda found: concealed[int(found[1])].reveal().encode("latin-1"), head)
        + (request.body or b"")
    )
