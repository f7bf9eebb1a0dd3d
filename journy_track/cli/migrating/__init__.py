"""The parts of `journy-track migrate`, which know the calls of other libraries and the equivalent calls here."""
