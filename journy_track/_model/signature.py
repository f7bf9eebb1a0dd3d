"""Reading the signature of a callable without evaluating its annotations."""

from __future__ import annotations

import inspect
import sys
from typing import Any


def signature_of(function: Any) -> inspect.Signature:
    """The signature of *function*. Raises `ValueError` or `TypeError` if it is not known.

    Since Python 3.14 an annotation is evaluated when it is read, and it may refer to a name that is imported for type
    checkers only. Annotations are not needed here, so their evaluation is avoided where possible.
    """
    try:
        if sys.version_info >= (3, 14):
            import annotationlib

            return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise
    except Exception as error:  # for example, an annotation or the app's `__signature__` raised
        raise ValueError(f"its signature raised {type(error).__name__}") from error
