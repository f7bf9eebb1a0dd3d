"""The queue on a Redis stream: what a relay does with it.

Who leads holds a lease and reads from the oldest message on; what is settled is removed by a script that looks at
the lease first. There is no consumer group: one process reads, so the stream is itself the list of what is not
settled. Reading changes nothing, and a reply that is lost, or a relay that wakes too late, can hide no message.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from journy_track._model.broker import BrokerError
from journy_track._model.retry import ByteLimit, size_of
from journy_track._model.secret import Secret
from journy_track._stores.redis.connection import Names, RedisConnection, queue_of

# KEYS: lease. ARGV: token, milliseconds. Without memory left, Redis refuses a SET that is a script's first write,
# and nobody could lead and make room. A DEL is never refused.
_ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
# KEYS: lease, stream, dead letters. ARGV: token, then IDs, each with its dead letter or an empty text. A letter is
# kept by whoever removes its message: a call that is made again, after a lost response, keeps none twice.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 and ARGV[i + 1] ~= '' then
    redis.call('XADD', KEYS[3], '*', 'm', ARGV[i + 1])
  end
end
return 1
"""
# KEYS: stream. ARGV: an ID, how many messages at most, of how many bytes, and how many of each. Returns those behind
# that ID, one at least, each with its size.
# XRANGE knows no bytes, so it is asked for some at a time; the one at the ID itself is left out here, as servers
# before 6.2 cannot do it.
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


#: Bytes of one message that are read, at most: of what is beyond, the dead letter holds nothing either.
MAX_READ = 1024 * 1024


class Entry(NamedTuple):
    """One message, and its size in bytes. *text* is its first MiB at most, and empty for one that is not ours."""

    id: str
    text: str
    size: int


class Settled(NamedTuple):
    """Messages that no longer need to be kept: one, or those that were merged into one.

    *letter*: why they were given up, as JSON; empty: they were not.
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
        connected: Callable[[Secret], RedisConnection] = RedisConnection,
    ) -> None:
        names = Names.of(queue_of(url))
        self.names = names if dead_letter is None else names._replace(dead=dead_letter)
        self._connection = connected(url)
        self._lease_ms = int(lease * 1000)
        self._token = uuid.uuid4().hex
        self._scripts: dict[str, Any] = {}
        # Each way for itself: a connection may be slow in one of them only.
        self._to_read, self._to_settle = ByteLimit(), ByteLimit()

    def _run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        with self._connection.call() as client:
            if script not in self._scripts:
                self._scripts[script] = client.register_script(script)
            return self._scripts[script](keys=keys, args=arguments)

    # ── The lease ──

    def acquire(self) -> bool:
        """Take the lead, unless another relay has it; it is ours, where a response was lost."""
        return bool(self._run(_ACQUIRE, [self.names.lease], self._token, self._lease_ms))

    def renew(self) -> bool:
        """Renew the lease; false when it was lost."""
        return bool(self._run(_RENEW, [self.names.lease], self._token, self._lease_ms))

    def release(self) -> None:
        """Let another relay lead at once."""
        self._run(_RELEASE, [self.names.lease], self._token)

    def is_led(self) -> bool:
        """Whether any relay leads."""
        with self._connection.call() as client:
            return bool(client.exists(self.names.lease))

    # ── Messages ──

    def read(self, after: str, count: int) -> list[Entry]:
        """The next messages behind the ID *after*, oldest first: *count* of them, or fewer where they are large.

        An empty *after*: from the first on. None at all: nothing waits there.
        """
        return self._read(self.names.stream, after, count)

    def _read(self, stream: str, after: str, count: int) -> list[Entry]:
        with _tried(self._to_read) as size:
            found = self._run(_READ, [stream], after or "0-0", count, size, MAX_READ)
        return [Entry(_text(id_), _text(text), int(size)) for id_, text, size in found]

    def settle(self, settled: Sequence[Settled]) -> int | None:
        """Remove the first of what is settled, and keep its dead letters. Returns how many of them are done.

        `None`, and nothing done, when somebody else leads.
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
        """Put what are dead letters now behind what waits, as if they came now. Returns how many."""
        count, after = 0, ""
        with self._connection.call() as client:
            newest = client.xrevrange(self.names.dead, "+", "-", count=1)
        # Up to this one: those that fail again meanwhile stay.
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
        """How many messages wait, the second since the epoch at which the oldest came, and the dead letters."""
        with self._connection.call() as client:
            waiting = int(client.xlen(self.names.stream))
            oldest = client.xrange(self.names.stream, "-", "+", count=1)
            dead = int(client.xlen(self.names.dead))
        return waiting, int(_text(oldest[0][0]).split("-")[0]) / 1000 if oldest else None, dead

    def concerns(self) -> list[str]:
        """What about the broker's settings may lose messages, or could not be looked at."""
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
            concerns.append(f"whether messages are safe could not be checked: {why} ({', '.join(unseen)}).")
        if info.get("aof_enabled") == 0:
            concerns.append("appendonly is off: what waits is lost when Redis ends. Set `appendonly yes`.")
        if policy.startswith("allkeys"):
            concerns.append(f"maxmemory-policy is {policy}: Redis may evict the whole queue. Set `noeviction`.")
        elif policy.startswith("volatile"):
            concerns.append(
                f"maxmemory-policy is {policy}: short of memory, Redis evicts keys that expire, as the relay's lease "
                "and what it knows of calls that failed do. Items may then arrive twice, or out of order. "
                "Set `noeviction`."
            )
        return concerns

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


@contextmanager
def _tried(limit: ByteLimit) -> Iterator[int]:
    """How many bytes one call may carry now, and by what comes of it how many the next one may."""
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
    """The message of a dead letter without the time of its capture, by which it may be too old; `None`: not ours."""
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
