"""For a broker of your own: hand `configure(broker=...)` an object with these methods.

What it is handed is the text that the README describes; a consumer of yours delivers it.
"""

from journy_track._model.broker import Broker, BrokerError, Message

__all__ = ["Broker", "BrokerError", "Message"]
