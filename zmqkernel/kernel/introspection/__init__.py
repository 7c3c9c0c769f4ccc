"""Completion and inspection from live objects, while a cell runs, without running any code of the user's.

``tokens`` says what the cursor stands in, ``lookup`` finds the object, ``completion`` and ``inspection`` make the replies;
``signatures``, ``values`` and ``modules`` know what can be said of an object or a module.
"""

from .completion import complete
from .inspection import inspect

__all__ = ["complete", "inspect"]
