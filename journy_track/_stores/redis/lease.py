"""The scripts of a lease: a key that expires, whose value is its holder."""

from __future__ import annotations

# KEYS: the lease. ARGV: who acquires or renews it, the milliseconds. Returns the holder. When it is out of memory,
# Redis refuses a SET that is a script's first write, and then no relay could lead and free memory. A DEL is never
# refused.
ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
# KEYS: the lease. ARGV: who releases it.
RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
