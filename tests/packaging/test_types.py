"""The types of the installed wheel, as other projects' type checkers see them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs node")
def test_every_public_type_is_known(built, tmp_path):
    # Catches: an attribute or a module-level name whose type only our own type checker can infer.
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*command, str(built.wheel)], timeout=300, check=True, capture_output=True)
    scripts = str(Path(sys.executable).parent)  # pyright asks the first python on PATH where packages are
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "journy_track", "--ignoreexternal", "--outputjson"],
        cwd=tmp_path,
        env={**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"], "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    found = json.loads(done.stdout)["typeCompleteness"]
    assert found["pyTypedPath"] == str(site / "journy_track" / "py.typed")
    known = {symbol["name"]: symbol for symbol in found["symbols"]}
    assert "journy_track.Client.upsert_user" in known or "journy_track.client.Client.upsert_user" in known
    unknown = [name for name, it in known.items() if not it["isTypeKnown"] or it["isTypeAmbiguous"]]
    assert not unknown
    assert found["completenessScore"] == 1
