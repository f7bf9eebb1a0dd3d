"""The parts of `journy-track catalog`, which read files without importing them and write the events found in them."""
