"""Code that sends a recorded request again: a shell command, or a Python program.

The method, path, headers and body of a request are untrusted input. Each is therefore one quoted word of the command,
without control characters, which a terminal or line editor would act on before the shell parses the quotes.
"""

from __future__ import annotations

import base64
import pprint
import shlex
from urllib.parse import quote, urlencode

from journy_track.inspector.values import Received

KEY_VARIABLE, WRITE_KEY_VARIABLE = "JOURNY_API_KEY", "JOURNY_WRITE_KEY"  # the keys themselves aren't stored
#: Characters of one word on a line. In a shell without a line editor, the terminal cuts a pasted line at 4095 bytes.
#: The closing quote would be lost, and the text that follows would run as commands.
MAX_WORD = 600
MAX_ARGUMENT = 100_000  # bytes: Linux allows 128 KiB for one argument of a program


def as_curl(received: Received, base_url: str) -> str:
    """A `curl` command for a POSIX shell."""
    lines = [f"curl -X {_quoted(received.method)} {_quoted(_url(received, base_url))}"]
    if received.key is not None:
        key = f'-u "${WRITE_KEY_VARIABLE}:"' if received.is_batch else f'-H "X-Api-Key: ${KEY_VARIABLE}"'
        lines.append(key)
    if received.body:
        lines.append(f"-H {_quoted('Content-Type: ' + _content_type(received))}")
        text = _text(received.body)
        if text is None:
            return f"echo {_base64(received.body)} | base64 -d | " + " \\\n  ".join([*lines, "--data-binary @-"])
        lines.append(f"--data-raw {_quoted(text)}")
    return " \\\n  ".join(lines)


def as_python(received: Received, base_url: str) -> str:
    """A Python program that uses `requests`."""
    arguments = [f"    {received.method!r},", f"    {_url(received, base_url)!r},"]
    headers = []
    if received.key is not None and received.is_batch:
        arguments.append(f'    auth=(os.environ["{WRITE_KEY_VARIABLE}"], ""),')
    elif received.key is not None:
        headers.append(f'"X-Api-Key": os.environ["{KEY_VARIABLE}"]')
    if len(received.body) <= MAX_ARGUMENT and received.json is not None:  # formatting a longer one takes seconds
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


def _quoted(text: str) -> str:
    """One quoted word for a shell, split over several lines if it is long."""
    if len(text) <= MAX_WORD:
        return shlex.quote(text)
    pieces = (text[start : start + MAX_WORD] for start in range(0, len(text), MAX_WORD))
    return "\\\n".join(shlex.quote(piece) for piece in pieces)


def _base64(body: bytes) -> str:
    coded = base64.b64encode(body).decode("ascii")
    return "'" + "\n".join(coded[start : start + MAX_WORD] for start in range(0, len(coded), MAX_WORD)) + "'"


def _url(received: Received, base_url: str) -> str:
    query = urlencode(received.query)
    path = "/" + quote(received.path.removeprefix("/"))  # without the slash, the path would extend the host name
    return f"{base_url}{path}{'?' if query else ''}{query}"


def _content_type(received: Received) -> str:
    text = received.headers.get("content-type", "application/json")
    return text if text.isascii() and text.isprintable() else "application/octet-stream"


def _text(body: bytes) -> str | None:
    """The body as text; None if it is not printable UTF-8, or too long for an argument."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and len(body) <= MAX_ARGUMENT else None
