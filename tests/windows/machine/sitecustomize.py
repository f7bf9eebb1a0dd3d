"""Simulates Windows for this library: what Python lacks there, and open files that cannot be removed.

Python imports this module at start-up, in each process with this folder in PYTHONPATH. Only the library sees
different modules `os`, `sys` and `signal`: Python's own modules and other packages still see Linux's. Refused
operations are refused for all code. See `conftest.py` for the variables that it reads.
"""

from __future__ import annotations

import builtins
import errno
import os
import signal
import sys
import warnings
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

#: A folder with a file for each process of this machine, named by its PID.
PROCESSES = Path(os.environ["WINDOWS_PROCESSES"])
ABSENT_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
ABSENT_IN_OS = (
    """
    O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC WNOHANG chown chroot fchown fdatasync fork
    forkpty getegid geteuid getgid getloadavg getpgid getpgrp getsid getuid killpg lchown mkfifo posix_fallocate
    posix_spawn pread pwrite register_at_fork sched_getaffinity setsid setuid statvfs sysconf uname wait waitid
""".split()  # noqa: SIM905 - easier to read than a list of a word a line
    + (["fchmod"] if sys.version_info < (3, 13) else [])
)
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
#: Replaces Ctrl-Break, and the closing of a console.
SIGBREAK = signal.SIGUSR1
_FORBIDDEN = set('<>:"|?*')


class View(ModuleType):
    """A module as the library sees it: *other* has the differences, *absent* the missing names."""

    def __init__(self, module: ModuleType, absent: Any = (), **other: Any) -> None:
        super().__init__(module.__name__)
        vars(self).update(_module=module, _absent=frozenset(absent), **other)

    def __getattr__(self, name: str) -> Any:
        if name in self._absent:
            raise AttributeError(f"Windows has no {self.__name__}.{name}")
        return getattr(self._module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._module, name, value)


def _view_of_signal() -> View:
    numbers = {getattr(signal, name) for name in SIGNALS} | {SIGBREAK}

    def set_handler(number: int, handler: Any) -> Any:
        if number not in numbers:
            raise ValueError("signal number out of range")
        return signal.signal(number, handler)

    absent = {name for name in dir(signal) if name.startswith(("SIG", "ITIMER")) and name not in SIGNALS}
    absent -= {"SIG_DFL", "SIG_IGN"}
    absent |= {"alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt", "sigwait"}
    return View(
        signal,
        absent,
        SIGBREAK=SIGBREAK,
        CTRL_C_EVENT=0,
        CTRL_BREAK_EVENT=1,
        signal=set_handler,
        valid_signals=lambda: set(numbers),
    )


def _msvcrt() -> ModuleType:
    import fcntl

    module = ModuleType("msvcrt")
    vars(module).update(LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2, LK_RLCK=3, LK_NBRLCK=4)

    def locking(descriptor: int, mode: int, count: int, /) -> None:
        """Lock at the file's position. The lock belongs to the open file, also within one process."""
        import struct

        kind = fcntl.F_UNLCK if mode == 0 else fcntl.F_WRLCK
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            wanted = struct.pack("hhqqi4x", kind, os.SEEK_SET, start, count, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    vars(module)["locking"] = locking
    return module


VIEWS = {
    "os": View(os, ABSENT_IN_OS, name="nt", O_BINARY=0x8000),
    "sys": View(sys, platform="win32"),
    "signal": _view_of_signal(),
    "msvcrt": _msvcrt(),
}


def _import(name: str, *arguments: Any, **named: Any) -> Any:
    if name in ABSENT_MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    view = VIEWS.get(name.partition(".")[0])
    return (
        view if view is not None and name in (*VIEWS, "os.path") else builtins.__import__(name, *arguments, **named)
    )


class Finder:
    """Makes the library's modules import the views, and multiprocessing use spawn."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "multiprocessing.context":
            return self._found(name, path, after=_spawn_only)
        if name.partition(".")[0] == "journy_track":
            return self._found(name, path, before=_look_at_windows)
        return None

    def _found(self, name: str, path: Any, before: Any = None, after: Any = None) -> Any:
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            for step in (before, run, after):
                if step is not None:
                    step(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _look_at_windows(module: ModuleType) -> None:
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}


def _spawn_only(context: Any) -> None:
    spawn = context._concrete_contexts["spawn"]
    context._concrete_contexts = {"spawn": spawn}
    context.DefaultContext.get_all_start_methods = lambda _: ["spawn"]
    context._default_context._default_context = context._default_context._actual_context = spawn


# ── Files ──


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "os.remove":
        _must_be_closed(*arguments)
    elif event == "os.rename":
        source, target, source_folder, target_folder = arguments
        _must_be_closed(source, source_folder)
        _must_be_closed(target, target_folder)
    elif event in ("os.fork", "os.forkpty"):
        raise OSError(errno.ENOSYS, "Windows does not fork")
    elif event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        _must_be_a_name(os.fspath(arguments[0]))
        if arguments[1] is None and not arguments[2] & os.O_TMPFILE:
            _must_not_be_a_folder(arguments[0])


def _must_be_a_name(path: str | bytes) -> None:
    if _FORBIDDEN & set(os.path.basename(os.fsdecode(path))) and not os.path.lexists(path):
        raise OSError(errno.EINVAL, "Invalid argument", path)


def _must_not_be_a_folder(path: Any) -> None:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)


def _must_be_closed(path: Any, folder: int) -> None:
    name = os.fsdecode(path) if folder in (-1, None) else f"/proc/self/fd/{folder}/{os.fsdecode(path)}"
    try:
        found = os.lstat(name)
    except OSError:
        return
    for pid in os.listdir(PROCESSES):
        if any(os.path.samestat(found, opened) for opened in _opened_by(pid)):
            raise PermissionError(
                errno.EACCES, "The process cannot access the file because it is being used by another process", name
            )


def _opened_by(pid: str) -> list[os.stat_result]:
    opened = []
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                opened.append(os.stat(f"/proc/{pid}/fd/{descriptor}"))
            except OSError:
                continue
    except OSError:  # the process has ended
        return []
    return opened


def _rename(source: Any, target: Any, **folders: Any) -> None:
    if not folders and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", target)
    _rename_anyhow(source, target, **folders)


_rename_anyhow = os.rename
os.rename = _rename
PROCESSES.joinpath(str(os.getpid())).touch()
sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
sys.addaudithook(_audit)
# Text is in cp1252 on Windows, unless a program names an encoding. Needs PYTHONWARNDEFAULTENCODING.
warnings.filterwarnings("ignore", category=EncodingWarning)
warnings.filterwarnings("error", category=EncodingWarning, module=r"journy_track")
