"""The queue on a Redis stream: what a relay does with it.

Who leads holds a lease and reads from the oldest message on; what is settled is removed by a script that looks at
the lease first. There is no consumer group: one process reads, so the stream is itself the list of what is not
settled. Reading changes nothing, and a reply that is lost, or a relay that wakes too late, can hide no message.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from journy_track._model.secret import Secret
from journy_track._transport.redis_connection import Names, connect, split_url, told

_RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
# KEYS: lease, stream, dead letters. ARGV: token, then IDs, each with its dead letter or an empty text. A letter is
# kept by whoever removes its message: a call that is made again, after a lost answer, keeps none twice.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do
  if redis.call('XDEL', KEYS[2], ARGV[i]) == 1 and ARGV[i + 1] ~= '' then
    redis.call('XADD', KEYS[3], '*', 'm', ARGV[i + 1])
  end
end
return 1
"""
# KEYS: stream, dead letters. ARGV: a dead letter's ID, and its message.
_RETRY = """
if redis.call('XDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[1], '*', 'm', ARGV[2])
return 1
"""


class Entry(NamedTuple):
    """One message. *text* is empty for one that is none of ours."""

    id: str
    text: str


class Settled(NamedTuple):
    """Messages that need not be kept any more: one, or those that became one. *letter*: why they were given up."""

    ids: Sequence[str]
    letter: dict[str, Any] | None = None


class RelayQueue:
    """One relay's view of the queue that *url* names. Its methods raise `BrokerError`."""

    def __init__(
        self,
        url: Secret,
        *,
        lease: float,
        dead_letter: str | None = None,
        connected: Callable[[Secret], Any] = connect,
    ) -> None:
        names = Names.of(split_url(url)[1])
        self.names = names if dead_letter is None else names._replace(dead=dead_letter)
        self._client = connected(url)
        self._lease_ms = int(lease * 1000)
        self._token = uuid.uuid4().hex
        self._renew = self._client.register_script(_RENEW)
        self._release = self._client.register_script(_RELEASE)
        self._settle = self._client.register_script(_SETTLE)
        self._retry = self._client.register_script(_RETRY)

    # ── The lease ──

    def acquire(self) -> bool:
        """Lead, unless somebody does."""
        with told():
            if self._client.set(self.names.lease, self._token, nx=True, px=self._lease_ms):
                return True
        return self.renew()  # ours, when an answer was lost

    def renew(self) -> bool:
        """Go on leading; false when the lease was lost."""
        with told():
            return bool(self._renew(keys=[self.names.lease], args=[self._token, self._lease_ms]))

    def release(self) -> None:
        """Let somebody else lead at once."""
        with told():
            self._release(keys=[self.names.lease], args=[self._token])

    # ── Messages ──

    def read(self, after: str, count: int) -> list[Entry]:
        """The next *count* messages behind the ID *after*, oldest first. An empty *after*: from the first on."""
        with told():
            return self._read(self.names.stream, after, count)

    def _read(self, stream: str, after: str, count: int) -> list[Entry]:
        found = self._client.xrange(stream, _behind(after), "+", count=count)
        return [Entry(_text(id_), _text(fields.get(b"m", b""))) for id_, fields in found]

    def settle(self, settled: Sequence[Settled]) -> bool:
        """Remove what is settled, and keep its dead letters; false, and nothing done, when somebody else leads."""
        arguments = [self._token]
        for ids, letter in settled:
            kept = "" if letter is None else json.dumps(letter, ensure_ascii=False)
            for id_ in ids:
                arguments += id_, kept
                kept = ""
        with told():
            keys = [self.names.lease, self.names.stream, self.names.dead]
            return bool(self._settle(keys=keys, args=arguments))

    def retry_dead(self) -> int:
        """Put what are dead letters now behind what waits, as if they came now. Answers how many."""
        count, after = 0, ""
        with told():
            newest = self._client.xrevrange(self.names.dead, "+", "-", count=1)
            # Up to this one: those that fail again meanwhile stay.
            last = _order(_text(newest[0][0])) if newest else (0, 0)
            while letters := self._read(self.names.dead, after, 100):
                for letter in letters:
                    if _order(letter.id) > last:
                        return count
                    message = _renewed(letter.text)
                    if message is not None:
                        count += int(
                            self._retry(keys=[self.names.stream, self.names.dead], args=[letter.id, message])
                        )
                after = letters[-1].id
        return count

    # ── Looking ──

    def depth(self) -> tuple[int, float | None, int]:
        """How many messages wait, the second since the epoch at which the oldest came, and the dead letters."""
        with told():
            waiting = int(self._client.xlen(self.names.stream))
            oldest = self._client.xrange(self.names.stream, "-", "+", count=1)
            dead = int(self._client.xlen(self.names.dead))
        return waiting, int(_text(oldest[0][0]).split("-")[0]) / 1000 if oldest else None, dead

    def concerns(self) -> list[str]:
        """What about the broker's settings may lose messages."""
        with told():
            persistence, memory = self._client.info("persistence"), self._client.info("memory")
        found = []
        if not persistence.get("aof_enabled"):
            found.append("appendonly is off: what waits is lost when Redis ends. Set `appendonly yes`.")
        policy = str(memory.get("maxmemory_policy", ""))
        if policy.startswith("allkeys"):
            found.append(f"maxmemory-policy is {policy}: Redis may evict the whole queue. Set `noeviction`.")
        return found

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _order(id_: str) -> tuple[int, int]:
    moment, _, number = id_.partition("-")
    return int(moment), int(number)


def _behind(id_: str) -> str:
    """The smallest ID behind *id_*. Redis before 6.2 has no other way to say it."""
    if not id_:
        return "-"
    moment, number = _order(id_)
    return f"{moment}-{number + 1}"


def _renewed(letter: str) -> str | None:
    """The message of a dead letter without the time of its capture, by which it may be too old; `None`: not ours."""
    try:
        message = json.loads(letter)["message"]
        told_of = json.loads(message)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(told_of, dict) or "captured_at" not in told_of:
        return str(message)
    del told_of["captured_at"]
    return json.dumps(told_of, ensure_ascii=False, separators=(",", ":"))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
