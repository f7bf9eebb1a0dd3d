"""The broker on a Redis stream: what a producer does with it.

A script appends, refuses what is beyond the limit, and knows what it took of this producer before: a call that
timed out may have been done. Nothing is ever trimmed: MAXLEN would drop unread messages, and say nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from journy_track._model.broker import BrokerRefused, Message
from journy_track._model.secret import Secret
from journy_track._transport.redis_connection import Names, connect, host_of, split_url, told
from journy_track._transport.refusing import refused_in_tests

#: Messages that wait in the broker, at most: an hour of a key's budget. Beyond, producers keep theirs.
MOST_WAITING = 100_000
#: Seconds for which the broker remembers what it took of a producer: longer than any retry.
_REMEMBERED = 24 * 3600

_PUBLISH = """
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local room = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1])
local taken = 0
for i = 3, #ARGV, 2 do
  local number = tonumber(ARGV[i])
  if number > last then
    if room <= 0 then break end
    redis.call('XADD', KEYS[1], '*', 'm', ARGV[i + 1])
    room = room - 1
    last = number
  end
  taken = taken + 1
end
redis.call('SET', KEYS[2], last, 'EX', ARGV[2])
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {taken, newest[1] and newest[1][1] or '0-0'}
"""


class RedisBroker:
    """Publishes to the stream that *url* names. Connects when it is first used.

    Raises `ConfigurationError` without redis-py, or for a URL that it does not understand.
    """

    def __init__(
        self,
        url: Secret,
        connected: Callable[[Secret], Any] = connect,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._client = connected(url)
        self._publish = self._client.register_script(_PUBLISH)
        self._most = most_waiting
        #: The newest message of the stream when we published last, whoever wrote it; as here: nothing yet.
        self._newest: bytes | str = "0-0"
        names = Names.of(split_url(url)[1])
        self._keys = [names.stream, names.producer + uuid.uuid4().hex]

    def publish(self, messages: Sequence[Message], /) -> int:
        """Store *messages* and answer how many, from the first on, are safe. Raises `BrokerError`."""
        if why := refused_in_tests(host_of(self._client)):
            raise BrokerRefused(why)
        arguments: list[Any] = [self._most, _REMEMBERED]
        for message in messages:
            arguments += message
        with told():
            count, self._newest = self._publish(keys=self._keys, args=arguments)
        return int(count)

    def is_empty(self) -> bool:
        """Whether all that was published here has left the stream. Raises `BrokerError`."""
        if self._newest == "0-0":
            return True
        with told():
            return not self._client.xrange(self._keys[0], "-", self._newest, count=1)

    def close(self) -> None:
        """Close the connection."""
        with told():
            self._client.close()
