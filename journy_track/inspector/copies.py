"""A request that arrived, written down so that it can be sent again: for a shell, or in Python.

Whoever sent the request chose its method, path, headers and body. So each is one quoted word of the command, without
control characters: a terminal or a line editor would act on those before the shell looks at the quotes.
"""

from __future__ import annotations

import base64
import pprint
import shlex
from urllib.parse import quote, urlencode

from journy_track.inspector.values import Received

KEY_VARIABLE, WRITE_KEY_VARIABLE = "JOURNY_API_KEY", "JOURNY_WRITE_KEY"  # the keys themselves aren't kept
#: Characters of one word on a line. A terminal cuts what is pasted into a shell without a line editor at 4095 bytes,
#: and with it the closing quote: what follows would then be read as commands.
MAX_WORD = 600
MAX_ARGUMENT = 100_000  # bytes: Linux allows 128 KiB for one argument of a program


def as_curl(received: Received, base_url: str) -> str:
    """A command for a POSIX shell."""
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
    """A program for `requests`."""
    arguments = [f"    {received.method!r},", f"    {_url(received, base_url)!r},"]
    headers = []
    if received.key is not None and received.is_batch:
        arguments.append(f'    auth=(os.environ["{WRITE_KEY_VARIABLE}"], ""),')
    elif received.key is not None:
        headers.append(f'"X-Api-Key": os.environ["{KEY_VARIABLE}"]')
    if len(received.body) <= MAX_ARGUMENT and received.json is not None:  # a longer one is printed for seconds
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
    """One word for a shell, over several lines where it is long."""
    if len(text) <= MAX_WORD:
        return shlex.quote(text)
    pieces = (text[start : start + MAX_WORD] for start in range(0, len(text), MAX_WORD))
    return "\\\n".join(shlex.quote(piece) for piece in pieces)


def _base64(body: bytes) -> str:
    coded = base64.b64encode(body).decode("ascii")
    return "'" + "\n".join(coded[start : start + MAX_WORD] for start in range(0, len(coded), MAX_WORD)) + "'"


def _url(received: Received, base_url: str) -> str:
    query = urlencode(received.query)
    path = "/" + quote(received.path.removeprefix("/"))  # without the slash it would go on with the host's name
    return f"{base_url}{path}{'?' if query else ''}{query}"


def _content_type(received: Received) -> str:
    text = received.headers.get("content-type", "application/json")
    return text if text.isascii() and text.isprintable() else "application/octet-stream"


def _text(body: bytes) -> str | None:
    """The body where it can be an argument that everybody sees as it is; else None."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and len(body) <= MAX_ARGUMENT else None
