"""An immutable dict that prints, compares, pickles and serialises to JSON like a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn


class FrozenDict(dict[str, Any]):
    """An immutable dict with text keys."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this mapping cannot be changed: make a new one, as in {**old, 'key': value}")

    if not TYPE_CHECKING:  # to type checkers it is a dict; public attributes are annotated as Mapping
        __setitem__ = __delitem__ = __ior__ = _refuse
        clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)

    def copy(self) -> dict[str, Any]:
        """A mutable copy."""
        return dict(self)
