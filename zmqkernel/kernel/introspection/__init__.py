"""Completion, inspection, signatures and definitions from live objects, while a cell runs, without running code of the user's.

``tokens``, ``places`` and ``cursor`` say what the cursor stands in, ``lookup`` and ``expressions`` find the object,
``adapters`` knows tables, arrays and layers; ``completion``, ``inspection``, ``calls`` and ``definitions`` make the replies.
``scope`` has the policy and the budget of a request.
"""

from .calls import sign
from .completion import complete
from .definitions import define
from .inspection import inspect

__all__ = ["complete", "define", "inspect", "sign"]
