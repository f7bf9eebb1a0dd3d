"""The relay: what producers handed to a broker, delivered to journy.io by one process at a time."""
