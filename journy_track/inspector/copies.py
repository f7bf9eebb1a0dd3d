"""A request that arrived, written down so that it can be sent again: for a shell, or in Python."""

from __future__ import annotations

import base64
import pprint
import shlex
from urllib.parse import quote, urlencode

from journy_track.inspector.values import Received

KEY_VARIABLE = "JOURNY_API_KEY"  # the key itself isn't kept


def as_curl(received: Received, base_url: str) -> str:
    """A command line for a POSIX shell."""
    lines = [f"curl -X {received.method} {shlex.quote(_url(received, base_url))}"]
    if received.key is not None:
        lines.append(f'-H "X-Api-Key: ${KEY_VARIABLE}"')
    if received.body:
        lines.append(f"-H {shlex.quote('Content-Type: ' + _content_type(received))}")
        text = _text(received.body)
        if text is None or "\0" in text:  # no argument of a program can hold these
            coded = base64.b64encode(received.body).decode("ascii")
            return f"echo {coded} | base64 -d | " + " \\\n  ".join([*lines, "--data-binary @-"])
        lines.append(f"--data-raw {shlex.quote(text)}")
    return " \\\n  ".join(lines)


def as_python(received: Received, base_url: str) -> str:
    """A program for `requests`."""
    arguments = [f"    {received.method!r},", f"    {_url(received, base_url)!r},"]
    headers = []
    if received.key is not None:
        headers.append(f'"X-Api-Key": os.environ["{KEY_VARIABLE}"]')
    if received.json is not None:
        literal = pprint.pformat(received.json, width=100, sort_dicts=False).replace("\n", "\n         ")
        body = f"    json={literal},"
    elif received.body:
        headers.append(f'"Content-Type": {_content_type(received)!r}')
        body = f"    data={received.body!r},"
    else:
        body = ""
    if headers:
        arguments.append(f"    headers={{{', '.join(headers)}}},")
    lines = ["import os", "", "import requests", "", "response = requests.request(", *arguments]
    lines += [body] if body else []
    return "\n".join([*lines, "    timeout=10,", ")", "print(response.status_code, response.text)"]) + "\n"


def _url(received: Received, base_url: str) -> str:
    query = urlencode(received.query)
    return f"{base_url}{quote(received.path)}{'?' if query else ''}{query}"


def _content_type(received: Received) -> str:
    return received.headers.get("content-type", "application/json")


def _text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
