"""The parts of `journy-track import`, which read a file, check it, send it through a tracker and record the results.

source → columns → courier → journal: lines become records, records become calls, and calls are captured and followed.
The result of each line is recorded, so that a second run continues where the first one ended.
"""
