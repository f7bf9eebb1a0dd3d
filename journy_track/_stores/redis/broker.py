"""The broker on a Redis stream: what a producer does with it.

A script appends, refuses what is beyond the limit, and knows what it took before: a call that timed out may have been
done. Nothing is ever trimmed: MAXLEN would silently drop unread messages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from journy_track._model.broker import BrokerRefused, Message
from journy_track._model.refusing import refused_in_tests
from journy_track._model.secret import Secret
from journy_track._stores.redis.connection import Names, RedisConnection, queue_of

#: Messages that wait in the broker, at most: an hour of a key's budget. Beyond that, producers keep theirs.
MAX_WAITING = 100_000
#: Seconds for which the broker remembers what it took in a call: longer than any retry.
_REMEMBERED = 24 * 3600

# KEYS: the stream, calls that need not be remembered any more, calls of these messages. ARGV: how many messages may
# wait, seconds to remember a call, how many to forget; for each message the place of its call in KEYS, its number
# and its text. A call is remembered by the highest number that was taken of it. XADD comes before other writes:
# without memory left, Redis refuses only the first one of a script.
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
    """The call in which the messages up to the number *last* were offered for the first time."""

    key: str
    last: int


class RedisBroker:
    """Publishes to the stream that *url* names. Connects when it is first used.

    Raises `ConfigurationError` without redis-py, or for a URL that it does not understand.
    """

    def __init__(
        self,
        url: Secret,
        connected: Callable[[Secret], RedisConnection] = RedisConnection,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._connection = connected(url)
        self._max_waiting = max_waiting
        #: The newest message of the stream when we published last, whoever wrote it; as here: nothing yet.
        self._newest: bytes | str = "0-0"
        self._names = Names.of(queue_of(url))
        #: The calls whose responses may have been lost; the last one ended well, and Redis can forget it.
        self._calls: list[_Call] = []
        self._script: Any = None

    def publish(self, messages: Sequence[Message], /) -> int:
        """Store *messages* and return how many, from the first on, are safe. Raises `BrokerError`."""
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
        """The calls that Redis need not remember any more, and those in which *messages* were offered first.

        Each has a name that was drawn when it was made. Processes that go on from one snapshot of memory (AWS Lambda
        SnapStart, CRIU, a copied virtual machine) count alike: a name or a number that was chosen before would be
        theirs together, and what one of them publishes would be taken for what another has published already.
        """
        first, newest = messages[0].number, messages[-1].number
        if not self._calls or self._calls[-1].last < newest:
            # Not the `random` module: a snapshot copies its state.
            self._calls.append(_Call(self._names.producer + os.urandom(12).hex(), newest))
        done = [call for call in self._calls if call.last < first]
        return done, self._calls[len(done) :]

    def is_empty(self) -> bool:
        """Whether all that was published here has left the stream. Raises `BrokerError`."""
        if self._newest == "0-0":
            return True
        with self._connection.call() as client:
            return not client.xrange(self._names.stream, "-", self._newest, count=1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
