"""The settings of a process, for the children that multiprocessing makes of it.

A forked child has them in its memory. One that is spawned, or forked by a server (the default on Linux since Python
3.14), begins anew, and multiprocessing writes it the `Process` object through a pipe that nobody else reads. That
object holds a copy of the parent's `_config`, where multiprocessing keeps a key of its own. There they are put, too:
not among the arguments of the process, nor in its environment.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from multiprocessing import context, process
from multiprocessing.reduction import ForkingPickler
from typing import Any

from journy_track._model.config import Config
from journy_track._model.secret import Secret

_NAME = "journy_track"


class NotInherited(Exception):
    """What the parent has set did not reach this process. The text is why."""


def hand_over(config: Config | None) -> None:
    """Children that are made from now on get *config*; `None`: they get nothing."""
    shared = _shared()
    if config is None:
        shared.pop(_NAME, None)
    else:
        shared[_NAME] = _Settings(config)


def inherited() -> Config | None:
    """The settings that the parent of this process handed over; `None` where it did not. Raises `NotInherited`."""
    packed = _shared().get(_NAME)
    if not isinstance(packed, bytes):  # this process has set them itself
        return None
    try:
        problem, config = pickle.loads(packed)  # noqa: S301 - multiprocessing has just loaded more from there
    except (Exception, SystemExit) as error:  # a module of the app's may raise anything when it is imported
        raise NotInherited(f"{type(error).__name__} when they were read") from error
    if config is None:
        raise NotInherited(problem)
    assert isinstance(config, Config)
    return config


def _shared() -> dict[str, Any]:
    # Not public, and as old as multiprocessing. Where it is missing, children have to be configured.
    shared: dict[str, Any] = getattr(process.current_process(), "_config", {})
    return shared


class _Settings:
    """In the child: bytes, which multiprocessing refuses to pickle but for a child of it."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None:
            raise TypeError("the settings of journy_track are pickled for children of multiprocessing alone")
        return process.AuthenticationString, (_packed(self._config),)  # type: ignore[attr-defined]


def _packed(config: Config) -> bytes:
    """*config*, or why it cannot be pickled. Raises nothing: the child has to be made."""
    try:
        return _pickled((None, config))
    except Exception:  # noqa: BLE001 - an object of the app's may raise anything
        return _pickled((f"{' and '.join(_unpicklable(config))} cannot be pickled", None))


def _unpicklable(config: Config) -> list[str]:
    names = []
    for field in dataclasses.fields(config):
        try:
            _pickled(getattr(config, field.name))
        except Exception:  # noqa: BLE001 - as above
            names.append(field.name)
    return names


def _pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


class _Pickler(ForkingPickler):
    def reducer_override(self, value: Any) -> Any:
        return (Secret, (value.reveal(),)) if isinstance(value, Secret) else NotImplemented
