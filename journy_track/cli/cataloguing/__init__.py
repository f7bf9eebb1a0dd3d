"""What `journy-track catalog` is made of: files are read, never imported; found events are written in three forms."""
