"""The relay's side of the queue on a Redis stream.

The leading relay holds a lease and reads from the oldest message on. Settled messages are removed by a script that
checks the lease first. There is no consumer group: only one process reads, so the stream itself is the list of
unsettled messages. Reading changes nothing, so a lost reply or a relay that wakes up too late cannot hide a message.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from journy_track._model.broker import BrokerError
from journy_track._model.retry import ByteLimit, size_of
from journy_track._model.secret import Secret
from journy_track._stores.redis.connection import Names, RedisConnection, queue_of
from journy_track._stores.redis.lease import ACQUIRE, RELEASE

# KEYS: lease. ARGV: token, milliseconds.
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
# KEYS: lease, stream, dead letters. ARGV: token, then IDs, each with its dead letter or an empty string. A letter is
# only stored if its message is removed, so a call that is retried after a lost response does not store it twice.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 and ARGV[i + 1] ~= '' then
    redis.call('XADD', KEYS[3], '*', 'm', ARGV[i + 1])
  end
end
return 1
"""
# KEYS: stream. ARGV: an ID, the maximum number of messages, their maximum total bytes, and the maximum bytes of each.
# Returns the messages after that ID, at least one if there is any, each with its size.
# XRANGE has no limit in bytes, so it is called for a few messages at a time. The message with the ID itself is
# skipped here, as servers before 6.2 have no exclusive ranges.
_READ = """
local found, left, after = {}, tonumber(ARGV[3]), ARGV[1]
while #found < tonumber(ARGV[2]) do
  local page = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 11)
  local start = page[1] and page[1][1] == after and 2 or 1
  if not page[start] then return found end
  for i = start, #page do
    local text, fields = '', page[i][2]
    for j = 1, #fields, 2 do
      if fields[j] == 'm' then text = fields[j + 1] end
    end
    local size = #text
    if size > tonumber(ARGV[4]) then text = string.sub(text, 1, tonumber(ARGV[4])) end
    left = left - #text
    if #found > 0 and (left < 0 or #found == tonumber(ARGV[2])) then return found end
    found[#found + 1] = {page[i][1], text, size}
    after = page[i][1]
  end
end
return found
"""
# KEYS: stream, dead letters. ARGV: a dead letter's ID, and its message.
_RETRY = """
if redis.call('XDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'm', ARGV[2])
return 1
"""


#: The maximum number of bytes read of one message. A dead letter does not contain more of it either.
MAX_READ = 1024 * 1024


class Entry(NamedTuple):
    """A message and its size in bytes. *text* is at most its first MiB, and empty if the message is not ours."""

    id: str
    text: str
    size: int


class Settled(NamedTuple):
    """Messages that no longer need to be kept: a single one, or several that were merged.

    *letter*: the dead letter as JSON, if they were given up; empty otherwise.
    """

    ids: Sequence[str]
    letter: str = ""


class RelayQueue:
    """One relay's view of the queue that *url* names. Its methods raise `BrokerError`."""

    def __init__(
        self,
        url: Secret,
        *,
        lease: float,
        dead_letter: str | None = None,
    ) -> None:
        names = Names.of(queue_of(url))
        self.names = names if dead_letter is None else names._replace(dead=dead_letter)
        self._connection = RedisConnection(url)
        self._lease_ms = int(lease * 1000)
        self._token = uuid.uuid4().hex
        self._scripts: dict[str, Any] = {}
        # A separate limit for each direction, as a connection may be slow in only one of them.
        self._to_read, self._to_settle = ByteLimit(), ByteLimit()

    def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        with self._connection.call() as client:
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
            return self._scripts[script](keys=keys, args=arguments)

    # ── The lease ──

    def acquire(self) -> bool:
        """Acquire the lease, unless another relay holds it. Also true if we hold it, as after a lost response."""
        return _text(self._run(ACQUIRE, [self.names.lease], self._token, self._lease_ms)) == self._token

    def renew(self) -> bool:
        """Renew the lease. Returns false if it was lost."""
        return bool(self._run(_RENEW, [self.names.lease], self._token, self._lease_ms))

    def release(self) -> None:
        """Release the lease, so that another relay can lead immediately."""
        self._run(RELEASE, [self.names.lease], self._token)

    def is_led(self) -> bool:
        """Whether any relay holds the lease."""
        with self._connection.call() as client:
            return bool(client.exists(self.names.lease))

    # ── Messages ──

    def read(self, after: str, count: int) -> list[Entry]:
        """Return the next messages after the ID *after*, oldest first: at most *count*, or fewer if they are large.

        If *after* is empty, reading starts at the first message. An empty result means that nothing is left.
        """
        return self._read(self.names.stream, after, count)

    def _read(self, stream: str, after: str, count: int) -> list[Entry]:
        with _tried(self._to_read) as size:
            found = self._run(_READ, [stream], after or "0-0", count, size, MAX_READ)
        return [Entry(_text(id_), _text(text), int(size)) for id_, text, size in found]

    def settle(self, settled: Sequence[Settled]) -> int | None:
        """Remove messages from the start of *settled*, and store their dead letters. Returns how many were processed.

        Returns `None` and does nothing if another relay holds the lease.
        """
        arguments: list[str] = []
        size = count = 0
        with _tried(self._to_settle) as limit:
            for ids, letter in settled:
                kept = letter
                size += size_of(kept) + sum(map(len, ids))
                if count and size > limit:
                    break
                count += 1
                for id_ in ids:
                    arguments += id_, kept
                    kept = ""
            keys = [self.names.lease, self.names.stream, self.names.dead]
            return count if self._run(_SETTLE, keys, self._token, *arguments) else None

    def retry_dead(self) -> int:
        """Move the current dead letters to the end of the queue, as if they were new. Returns how many were moved."""
        count, after = 0, ""
        with self._connection.call() as client:
            newest = client.xrevrange(self.names.dead, "+", "-", count=1)
        # Only up to this one: messages that fail again in the meantime stay dead letters.
        last = _order(_text(newest[0][0])) if newest else (0, 0)
        while letters := self._read(self.names.dead, after, 100):
            for letter in letters:
                if _order(letter.id) > last:
                    return count
                message = _renewed(letter.text)
                if message is not None:
                    count += int(self._run(_RETRY, [self.names.stream, self.names.dead], letter.id, message))
            after = letters[-1].id
        return count

    # ── Looking ──

    def depth(self) -> tuple[int, float | None, int]:
        """Return the number of waiting messages, the arrival of the oldest (epoch seconds), and the dead letters."""
        with self._connection.call() as client:
            waiting = int(client.xlen(self.names.stream))
            oldest = client.xrange(self.names.stream, "-", "+", count=1)
            dead = int(client.xlen(self.names.dead))
        return waiting, int(_text(oldest[0][0]).split("-")[0]) / 1000 if oldest else None, dead

    def concerns(self) -> list[str]:
        """Return warnings about settings of the broker that may lose messages, or that could not be checked."""
        import redis

        with self._connection.call() as client:
            try:
                info = {**client.info("persistence"), **client.info("memory")}
            except redis.ResponseError as refused:
                info = {}
                why = "INFO is not permitted" if type(refused).__name__ == "NoPermissionError" else "INFO is refused"
            else:
                why = "INFO does not show them"
        concerns = []
        policy = str(info.get("maxmemory_policy", ""))
        unseen = [
            name for name, seen in (("appendonly", "aof_enabled" in info), ("maxmemory-policy", policy)) if not seen
        ]
        if unseen:
            concerns.append(f"could not check whether Redis may lose messages: {why} ({', '.join(unseen)}).")
        if info.get("aof_enabled") == 0:
            concerns.append("appendonly is off: what waits is lost when Redis ends. Set `appendonly yes`.")
        if policy.startswith("allkeys"):
            concerns.append(f"maxmemory-policy is {policy}: Redis may evict the whole queue. Set `noeviction`.")
        elif policy.startswith("volatile"):
            concerns.append(
                f"maxmemory-policy is {policy}: short of memory, Redis evicts keys that expire, such as the relay's "
                "lease and the records that prevent duplicates. Items may then arrive twice, or out of order. "
                "Set `noeviction`."
            )
        return concerns

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


@contextmanager
def _tried(limit: ByteLimit) -> Iterator[int]:
    """Provide the number of bytes that one call may carry, and adapt *limit* to whether the call succeeds."""
    try:
        yield limit.bytes
    except BrokerError:
        limit.failed()
        raise
    limit.succeeded()


def _order(id_: str) -> tuple[int, int]:
    moment, _, number = id_.partition("-")
    return int(moment), int(number)


def _renewed(letter: str) -> str | None:
    """Return a dead letter's message without its capture time, as it may be too old; `None` if it is not ours."""
    try:
        message = json.loads(letter)["message"]
        content = json.loads(message)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(content, dict) or "captured_at" not in content:
        return str(message)
    del content["captured_at"]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
