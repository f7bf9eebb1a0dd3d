"""How items are sent: by HTTP, or through a broker. Only this package serialises requests to bytes."""
