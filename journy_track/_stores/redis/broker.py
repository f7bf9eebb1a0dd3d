"""The producer's side of the queue on a Redis stream.

A script appends messages, refuses those beyond the limit, and skips those it has already stored, as a call that timed
out may have succeeded. The stream is never trimmed: MAXLEN would silently drop unread messages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from journy_track._model.broker import BrokerRefused, Message
from journy_track._model.refusing import refused_in_tests
from journy_track._model.secret import Secret
from journy_track._stores.redis.connection import Names, RedisConnection, queue_of

#: The maximum number of messages in the stream: an hour of a key's budget. Beyond that, producers keep their items.
MAX_WAITING = 100_000
#: Seconds for which Redis remembers what it stored in a call: longer than any retry takes.
_REMEMBERED = 24 * 3600

# KEYS: the stream, the calls to forget, the calls of these messages. ARGV: the maximum number of waiting messages,
# the seconds to remember a call, the number of calls to forget; then, for each message, the index of its call in
# KEYS, its number and its text. For each call, the highest number stored is remembered. XADD precedes all other
# writes: when it is out of memory, Redis refuses only a script's first write.
_PUBLISH = """
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local taken, last = 0, {}
for i = 4, #ARGV, 3 do
  local call, number = KEYS[tonumber(ARGV[i])], tonumber(ARGV[i + 1])
  last[call] = last[call] or tonumber(redis.call('GET', call) or '0')
  if number > last[call] then
    if room <= 0 then break end
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 2])
    room = room - 1
    last[call] = number
  end
  taken = taken + 1
end
for call, number in pairs(last) do redis.call('SET', call, number, 'EX', ARGV[2]) end
for i = 2, 1 + ARGV[3] do redis.call('DEL', KEYS[i]) end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {taken, newest[1] and newest[1][1] or '0-0'}
"""


class _Call(NamedTuple):
    """The call that first published the messages up to the number *last*."""

    key: str
    last: int


class RedisBroker:
    """Publishes to the stream that *url* names. Connects when it is first used.

    Raises `ConfigurationError` if redis-py is not installed or does not understand the URL.
    """

    def __init__(
        self,
        url: Secret,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._connection = RedisConnection(url)
        self._max_waiting = max_waiting
        #: The ID of the stream's newest message, from any producer, when we last published; "0-0" if we never did.
        self._newest: bytes | str = "0-0"
        self._names = Names.of(queue_of(url))
        #: The calls that Redis remembers: those whose responses may have been lost, and the last successful one.
        self._calls: list[_Call] = []
        self._script: Any = None

    def publish(self, messages: Sequence[Message], /) -> int:
        """Publish *messages* and return how many of them, from the first on, are stored. Raises `BrokerError`."""
        for host in self._connection.hosts:
            if why := refused_in_tests(host):
                raise BrokerRefused(why)
        done, calls = self._calls_of(messages)
        keys = [self._names.stream, *(call.key for call in (*done, *calls))]
        arguments: list[Any] = [self._max_waiting, _REMEMBERED, len(done)]
        place = len(done) + 2  # Lua counts from 1
        for message in messages:
            while message.number > calls[place - len(done) - 2].last:
                place += 1
            arguments += place, message.number, message.text
        with self._connection.call() as client:
            self._script = self._script or client.register_script(_PUBLISH)
            count, self._newest = self._script(keys=keys, args=arguments)
        self._calls = calls
        return int(count)

    def _calls_of(self, messages: Sequence[Message]) -> tuple[list[_Call], list[_Call]]:
        """Return the calls that Redis can forget, and the calls in which *messages* were first published.

        The random name of a call is chosen when the call is made. Processes that are restored from the same memory
        snapshot (AWS Lambda SnapStart, CRIU, a copied virtual machine) count alike: they would share a name or number
        chosen earlier, and the messages of one would be taken for messages that another has already published.
        """
        first, newest = messages[0].number, messages[-1].number
        if not self._calls or self._calls[-1].last < newest:
            # The `random` module is not used, as a snapshot copies its state.
            self._calls.append(_Call(self._names.producer + os.urandom(12).hex(), newest))
        done = [call for call in self._calls if call.last < first]
        return done, self._calls[len(done) :]

    def is_empty(self) -> bool:
        """Whether everything published by this object has left the stream. Raises `BrokerError`."""
        if self._newest == "0-0":
            return True
        with self._connection.call() as client:
            return not client.xrange(self._names.stream, "-", self._newest, count=1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
