"""What `journy-track catalog --coverage` is made of: handlers of frameworks, and which of them track something."""
