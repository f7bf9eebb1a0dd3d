"""For a custom broker: pass `configure(broker=...)` an object with the methods of `Broker`.

It receives messages in the format that `docs/reference/formats.md` describes; your own consumer delivers them.
"""

from journy_track._model.broker import Broker, BrokerError, Message

__all__ = ["Broker", "BrokerError", "Message"]
