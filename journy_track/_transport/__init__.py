"""How items leave: over HTTP. Bytes are made here only."""
