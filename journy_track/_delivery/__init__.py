"""The worker's side, from the queue to journy.io's response. The app's threads only call it to wait."""
