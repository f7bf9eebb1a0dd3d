"""The relay delivers what producers published to a broker to journy.io, from one process at a time."""
