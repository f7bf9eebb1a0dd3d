"""`journy-track spool`: shows, retries, exports and removes a spool's waiting items and dead letters."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from journy_track._model.clock import moment_of
from journy_track._model.errors import InvalidArgument
from journy_track._model.identity import AccountIdentified, UserIdentified
from journy_track._model.items import DeleteAccount, DeleteUser
from journy_track._model.purging import Delete, Purge
from journy_track._stores.sqlite.errors import SpoolError
from journy_track._stores.sqlite.file import SUFFIX, SpoolFile, lock_path
from journy_track._stores.sqlite.lock import is_owned
from journy_track.cli.console import complain, counted, data_size, duration, err, fail, out
from journy_track.cli.outside import harmless
from journy_track.cli.usage import CliCommand, CliGroup

spool: typer.Typer = typer.Typer(
    cls=CliGroup,
    name="spool",
    help="Manage what waits in a durable spool, and what was given up.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="FOLDER", envvar="JOURNY_SPOOL", help="Folder of the spool.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PAGE = 500


# ── status ──


@dataclass(frozen=True)
class FileStatus:
    """The status of one file. *oldest* is the age of the oldest waiting item in seconds, *size* the bytes on disk."""

    file: str
    alive: bool
    size: int
    about: str | None = None
    waiting: int = 0
    oldest: float | None = None
    dead: int = 0
    error: str | None = None


@spool.command(cls=CliCommand)
def status(folder: Folder = None, as_json: Json = False) -> None:
    """Show each file: its process, its size, what waits and what was given up."""
    path = _there(folder)
    files = [_status_of(file) for file in _files(path)]
    if as_json:
        listed = [asdict(file) for file in files]
        typer.echo(json.dumps({"folder": str(path), "files": listed, "totals": _totals(files), **_beside(path)}))
    elif files:
        out.print(_table(path, files))
    else:
        out.print(f"Nothing waits in {path}, and nothing was given up.", soft_wrap=True)
    errors = [file.error for file in files if file.error]
    for error in errors:
        complain(error)
    if not as_json:
        _tell_more(files, **_beside(path))
    raise typer.Exit(1 if errors else 0)


def _status_of(path: Path) -> FileStatus:
    alive = is_owned(lock_path(path))
    size = sum(part.lstat().st_size for part in path.parent.glob(f"{path.name}*") if part.exists())
    try:
        with _opened(path) as file:
            if file is None:
                return FileStatus(path.name, alive, size)
            at = file.oldest()
            oldest = None if at is None else max(0.0, time.time() - at)
            return FileStatus(path.name, alive, size, file.about, file.waiting(), oldest, file.dead())
    except SpoolError as error:
        return FileStatus(path.name, alive, size, error=str(error))


def _totals(files: list[FileStatus]) -> dict[str, Any]:
    return {
        "alive": sum(file.alive for file in files),
        "waiting": sum(file.waiting for file in files),
        "oldest": max((file.oldest for file in files if file.oldest is not None), default=None),
        "dead": sum(file.dead for file in files),
        "size": sum(file.size for file in files),
    }


def _beside(path: Path) -> dict[str, int]:
    aside = [one for one in path.glob(f"*{SUFFIX}.corrupt-*") if not one.name.endswith(("-wal", "-shm"))]
    return {"set_aside": len(aside), "refused_keys": len(list(path.glob("refused-*.json")))}


_SHOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "waiting": ("Waiting", str),
    "oldest": ("Oldest", lambda seconds: "–" if seconds is None else duration(seconds)),
    "dead": ("Given up", str),
    "size": ("Size", data_size),
}


def _table(path: Path, files: list[FileStatus]) -> Table:
    totals = _totals(files)
    table = Table(
        title=f"Spool {path}",
        title_justify="left",
        show_footer=len(files) > 1,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("File", counted(len(files), "file"), overflow="fold")
    table.add_column("Process", f"{totals['alive']} live")
    for name, (head, shown) in _SHOWN.items():
        table.add_column(head, shown(totals[name]), justify="right")
    for file in files:
        process = Text("lives", "green") if file.alive else Text("ended")
        values = [
            "?" if file.error and name != "size" else shown(getattr(file, name))
            for name, (_, shown) in _SHOWN.items()
        ]
        table.add_row(file.file.removesuffix(SUFFIX), process, *values)
    return table


def _tell_more(files: list[FileStatus], set_aside: int, refused_keys: int) -> None:
    by_server = _waiting_by_server(files)
    if len(by_server) > 1:
        waits = ", ".join(f"{counted(waiting, 'item')} for {server}" for server, waiting in by_server.items())
        err.print(f"The files are for different servers. Waiting: {waits}.", soft_wrap=True)
    for server, waiting in _waiting_by_server([file for file in files if not file.alive]).items():
        if waiting:  # a process takes over only files for its own base_url
            err.print(
                f"{counted(waiting, 'item')} left by processes that ended: the next process with this spool and "
                f"base_url {server} delivers {'it' if waiting == 1 else 'them'}.",
                soft_wrap=True,
            )
    if refused_keys:
        err.print("journy.io refused the API key: what waits is kept, and tried when it is accepted.", soft_wrap=True)
    if set_aside:
        err.print(f"Set aside, and never read again: {counted(set_aside, 'corrupt file')} (*.corrupt-*).")


def _waiting_by_server(files: list[FileStatus]) -> dict[str, int]:
    servers = sorted({file.about for file in files if file.about is not None})
    return {server: sum(file.waiting for file in files if file.about == server) for server in servers}


# ── retry ──


@spool.command(cls=CliCommand)
def retry(
    folder: Folder = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only items whose reason contains this text.")
    ] = None,
    operation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only items of this call, as `export` names it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Retry what was given up, as if it had been captured now."""
    path = _there(folder)
    count = _over(path, lambda file: file.retry(time.time(), reason=reason, operation=operation))
    alive = any(is_owned(lock_path(file)) for file in _files(path))
    if as_json:
        typer.echo(json.dumps({"retried": count}))
    elif count == 0:
        out.print("There is nothing to retry.")
    else:
        out.print(f"{counted(count, 'item')}: retried {'now' if alive else 'by the next process'}.")


# ── export ──


@spool.command(cls=CliCommand)
def export(
    folder: Folder = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Also write waiting items.")] = False,
) -> None:
    """Write what was given up to stdout, as JSON Lines.

    Each line has the reason and the call that was to be made.
    """

    def write(file: SpoolFile) -> int:
        count = 0
        for line in _lines(file, waiting=waiting):
            sys.stdout.write(json.dumps(line) + "\n")
            count += 1
        return count

    err.print(f"{counted(_over(_there(folder), write), 'item')}.")


def _lines(file: SpoolFile, *, waiting: bool) -> Iterator[dict[str, Any]]:
    after = 0
    while letters := file.dead_letters(after, _PAGE):
        after = letters[-1].seq
        for letter in letters:
            yield {
                "state": "given up",
                "file": file.path.name,
                "captured_at": _moment(letter.at),
                "given_up_at": _moment(letter.died),
                "reason": letter.reason,
                "status": letter.status,
                "request_id": letter.request_id,
                "fields": dict(letter.fields),
                "attempts": letter.attempts,
                **_call(letter.message),
            }
    after = 0
    while waiting and (rows := file.read(after, _PAGE)):
        after = rows[-1].seq
        for row in rows:
            captured = {"state": "waiting", "file": file.path.name, "captured_at": _moment(row.at)}
            yield {**captured, **_call(row.message)}


def _call(message: str) -> dict[str, Any]:
    try:
        call = json.loads(message)
        return {"operation": call["operation"], "body": call["body"]}
    except (ValueError, KeyError, TypeError):
        return {"operation": None, "body": None, "unreadable": message}


# ── purge ──


@spool.command(cls=CliCommand)
def purge(
    folder: Folder = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Also remove waiting items, which are then never delivered.")
    ] = False,
    user_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Everything about this user, and nothing else.")
    ] = None,
    email: Annotated[
        str | None, typer.Option(metavar="E-MAIL", help="The same, for the user with this e-mail.")
    ] = None,
    account_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Everything about this account, and nothing else.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="The same, for the account with this domain.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what was given up, or everything about a user or an account.

    Deletes of that user or account are kept.
    """
    path = _there(folder)
    about = _identity(user_id, email, account_id, domain)
    if about is not None and waiting:
        fail("--waiting has no meaning here: waiting items about a user or an account are removed in any case.", 2)
    what = "what waits and what was given up" if waiting else "what was given up"
    if about is not None:
        named = about.user if isinstance(about, DeleteUser) else about.account
        what = f"all about {', '.join(f'{name} {text}' for name, text in named.wire().items())}"
    if not yes:
        _ask(f"Remove {what} from {counted(len(_files(path)), 'file')} in {path}?")
    wanted = None if about is None else Purge(about)

    def remove(file: SpoolFile) -> int:
        return file.forget(dead=True, waiting=waiting) if wanted is None else _purge(file, wanted)

    count = _over(path, remove)
    if as_json:
        typer.echo(json.dumps({"removed": count}))
    else:
        out.print(f"{counted(count, 'item')} removed." if count else "There was nothing to remove.")


def _purge(file: SpoolFile, wanted: Purge) -> int:
    now = time.time()
    return sum(
        file.purge(text, now, wanted.left) + file.purge_dead_letters(text, wanted.left) for text in wanted.texts
    )


def _identity(user_id: str | None, email: str | None, account_id: str | None, domain: str | None) -> Delete | None:
    of_user, of_account = user_id is not None or email is not None, account_id is not None or domain is not None
    if of_user and of_account:
        fail("--user-id and --email name a user, --account-id and --domain an account: pass one of the two.", 2)
    try:
        if of_user:
            return DeleteUser(UserIdentified(user_id, email))
        return DeleteAccount(AccountIdentified(account_id, domain)) if of_account else None
    except InvalidArgument as error:
        fail(f"{error}.", 2)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        fail("Cannot ask for confirmation without a terminal: pass --yes.", 2)
    if not typer.confirm(harmless(question), err=True):
        err.print("Nothing was removed.")
        raise typer.Exit(1)


# ── Files ──


def _there(folder: Path | None) -> Path:
    if folder is None:
        fail("No folder was given: pass that of the spool, or set JOURNY_SPOOL.", 2)
    path = folder.expanduser()  # as configure() does
    if not path.is_dir():
        fail(f"{path} is not a folder: pass the one given to configure(spool=…).", 2)
    return path


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if path.is_file() and not path.is_symlink()]


@contextmanager
def _opened(path: Path) -> Iterator[SpoolFile | None]:
    """Open the file, even while its owner uses it; `None` if it is empty or does not exist any more."""
    try:
        file = SpoolFile(path) if path.stat().st_size else None
    except (SpoolError, FileNotFoundError):
        if path.exists():
            raise
        file = None
    try:
        yield file
    finally:
        if file is not None:
            file.close()


def _over(folder: Path, do: Callable[[SpoolFile], int]) -> int:
    """Call *do* for each file and add up the counts. If a file cannot be used, exit with 1 after all the others."""
    count, failed = 0, False
    for path in _files(folder):
        try:
            with _opened(path) as file:
                count += 0 if file is None else do(file)
        except SpoolError as error:
            complain(str(error))
            failed = True
    if failed:
        fail(f"The other files are done: {counted(count, 'item')}.", 1)
    return count


# ── Formatting ──


def _moment(at: float) -> str:
    return moment_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
