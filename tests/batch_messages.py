"""What clients of the batch protocol send, reduced to what has to be the same for all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from journy_track.inspector import Received

#: Generated for each message, or specific to the client.
OWN = frozenset({"messageId", "integrations", "_metadata", "sentAt", "writeKey"})
NODE_PACKAGE = "@segment/analytics-node"

_NODE = """
const { Analytics } = require("@segment/analytics-node");
const { host, path, writeKey, calls } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const analytics = new Analytics({ host, path, writeKey });
for (const [method, message] of calls) {
  if (message.timestamp) message.timestamp = new Date(message.timestamp);
  analytics[method](message);
}
analytics.closeAndFlush();
"""


def comparable(message: Mapping[str, Any], moments: Iterable[datetime] = ()) -> dict[str, Any]:
    """Return a message without `context.library`, `integrations`, IDs and times.

    The times in *moments*, which the test chose, are kept as instants, whatever format they were written in. A
    top-level member that is null counts as absent.
    """
    kept = {name: value for name, value in message.items() if name not in OWN and value is not None}
    kept["context"] = {name: value for name, value in kept.get("context", {}).items() if name != "library"}
    if "timestamp" in kept and _instant(kept["timestamp"]) not in moments:
        del kept["timestamp"]
    return _with_instants(kept)


def envelope(received: Received) -> dict[str, Any]:
    """Return everything in a request around its messages, without what is specific to the client."""
    body = {name: value for name, value in received.json.items() if name != "batch"}
    return {
        "method": received.method,
        "path": received.path,
        "key": received.key,
        "has_basic": "authorization" in received.headers,
        "content_type": received.headers["content-type"].partition(";")[0],
        "write_key": body.get("writeKey"),
        "fields": sorted(body),
        "sent_at": _instant(body["sentAt"]) is not None,
    }


def send_by_node(url: str, write_key: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    """Make these calls in order with Segment's client for Node. Skips the test where the client is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("this machine has no node")
    command = [node, "-e"]
    root = Path(__file__).parent.parent  # node resolves packages from here
    found = subprocess.run(
        [*command, f"require.resolve('{NODE_PACKAGE}')"], cwd=root, capture_output=True, check=False
    )
    if found.returncode != 0:
        pytest.skip(f"{NODE_PACKAGE} is not here: npm install --prefix . --no-save {NODE_PACKAGE}")
    host, _, path = url.partition("/backend")
    given = json.dumps({"host": host, "path": f"/backend{path}", "writeKey": write_key, "calls": calls})
    subprocess.run([*command, _NODE], cwd=root, input=given.encode(), check=True, capture_output=True, timeout=60)


def _with_instants(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_instants(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_instants(inner) for inner in value]
    return _instant(value) or value


def _instant(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None
