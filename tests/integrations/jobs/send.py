"""Sends jobs as a web process would: `send.py APP 50 work tries` for 50 users, `send.py APP nobody 6` without a user.

`send.py APP nobody 6 tries_for_nobody` sends that job; `send.py APP suppressed 6` sends where tracking is suppressed.
"""

import importlib
import sys

import bodies

if __name__ == "__main__":
    bodies.main(importlib.import_module(sys.argv[1]).send, sys.argv[2:])
