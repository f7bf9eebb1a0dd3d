"""What `journy-track import` is made of: a file is read, checked, sent through a tracker, and remembered.

source → columns → courier → journal: lines become records, records become calls, calls are captured and followed,
and what became of each line is written down, so that a second start goes on where the first one ended.
"""
