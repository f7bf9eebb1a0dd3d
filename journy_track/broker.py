"""For a broker of your own: hand `configure(broker=...)` an object with these methods.

What it gets is the text that `docs/reference/formats.md` describes; a consumer of yours delivers it.
"""

from journy_track._model.broker import Broker, BrokerError, Message

__all__ = ["Broker", "BrokerError", "Message"]
