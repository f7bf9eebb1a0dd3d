"""The parts of `journy-track catalog --coverage`, which find framework handlers and check which of them track."""
