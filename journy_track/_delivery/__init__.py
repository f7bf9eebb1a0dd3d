"""The worker's side: from the queue to the response of journy.io. The app's threads call nothing here but to wait."""
