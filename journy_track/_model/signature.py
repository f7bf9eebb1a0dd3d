"""How a callable may be called, read without evaluating its annotations."""

from __future__ import annotations

import inspect
import sys
from typing import Any


def signature_of(function: Any) -> inspect.Signature:
    """The signature of *function*. Raises `ValueError` or `TypeError` where it is not known.

    Since Python 3.14 an annotation is evaluated when it is read, and it may name what is imported for type checkers
    only. No annotation is looked at here, so none is evaluated if that can be helped.
    """
    try:
        if sys.version_info >= (3, 14):
            import annotationlib

            return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise
    except Exception as error:  # an annotation that divides by zero, a `__signature__` of the app's that raises
        raise ValueError(f"its signature raised {type(error).__name__}") from error
