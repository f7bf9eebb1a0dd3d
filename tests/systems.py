"""Marks for tests that run on some operating systems only."""

from __future__ import annotations

import os
import sys

import pytest

#: Windows, or its stand-in: see `windows/`.
WINDOWS = sys.platform == "win32" or "WINDOWS_PROCESSES" in os.environ

forks = pytest.mark.skipif(WINDOWS, reason="Windows does not fork")
has_modes = pytest.mark.skipif(WINDOWS, reason="files have neither modes nor owners of Unix there")
has_links = pytest.mark.skipif(WINDOWS, reason="folders have neither pipes nor links to follow there")
removes_open_files = pytest.mark.skipif(WINDOWS, reason="a file that is open cannot be removed there")
has_flock = pytest.mark.skipif(WINDOWS, reason="locks are other ones there")
as_root = pytest.mark.skipif(WINDOWS or os.geteuid() != 0, reason="gives files to another user")
