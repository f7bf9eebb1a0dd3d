"""A private PostgreSQL server for a test session, on a Unix socket in its own folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield its socket's folder; the user `postgres` needs no password. Skips where PostgreSQL is not installed."""
    initdb, server = _programs()
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root
    account = _account() if root else None
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # a short name: the path of a socket is limited in length
        folder = Path(name)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        data = str(folder / "data")
        made = subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **as_user,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        command = [server, "-D", data, "-k", name, "-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, **as_user)
        try:
            _wait_until_ready(process, folder)
            yield name
        finally:
            process.send_signal(2)  # SIGINT: a fast shutdown, which disconnects clients
            process.wait(30)


def _programs() -> tuple[str, str]:
    # Debian installs the programs outside PATH.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    found = [shutil.which(program, path=path) for program in ("initdb", "postgres")]
    if None in found:
        pytest.skip("needs PostgreSQL, which is not here (apt-get install postgresql)")
    return str(found[0]), str(found[1])


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _wait_until_ready(process: subprocess.Popen[bytes], folder: Path) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    from tests.timing import eventually

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    eventually(ready)
