"""What `journy-track migrate` knows: how other libraries are called, and what is called here instead."""
