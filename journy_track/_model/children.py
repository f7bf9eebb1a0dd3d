"""Passing the settings of a process to the children that multiprocessing starts.

A forked child has them in its memory. A child that is spawned, or forked by a fork server (the default on Linux since
Python 3.14), starts from scratch, and multiprocessing sends it the `Process` object through a private pipe. That
object holds a copy of the parent's `_config`, where multiprocessing keeps its own key. The settings are stored there,
too, instead of in the arguments of the process or in its environment.
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
    """The parent's settings could not be passed to this process. The text says why."""


def hand_over(config: Config | None) -> None:
    """Pass *config* to children started from now on; with `None`, pass nothing."""
    shared = _shared()
    if config is None:
        shared.pop(_NAME, None)
    else:
        shared[_NAME] = _Settings(config)


def inherited() -> Config | None:
    """The settings passed by the parent of this process; `None` if there are none. Raises `NotInherited`."""
    packed = _shared().get(_NAME)
    if not isinstance(packed, bytes):  # there are none, or this process set them itself
        return None
    try:
        problem, config = pickle.loads(packed)  # noqa: S301 - multiprocessing has just loaded more from there
    except (Exception, SystemExit) as error:  # importing one of the app's modules may raise anything
        raise NotInherited(f"{type(error).__name__} when they were read") from error
    if config is None:
        raise NotInherited(problem)
    assert isinstance(config, Config)
    return config


def _shared() -> dict[str, Any]:
    # Not public, but as old as multiprocessing. If it is missing, children must be configured explicitly.
    shared: dict[str, Any] = getattr(process.current_process(), "_config", {})
    return shared


class _Settings:
    """Becomes bytes in the child, which multiprocessing only pickles for its own children."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None:
            raise TypeError("journy_track's settings can only be pickled for multiprocessing's child processes")
        return process.AuthenticationString, (_packed(self._config),)  # type: ignore[attr-defined]


def _packed(config: Config) -> bytes:
    """*config*, or why it cannot be pickled. Never raises, so that the child can start."""
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
