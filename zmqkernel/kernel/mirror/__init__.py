"""The namespace mirror, the kernel's side: after each execution, what has changed among the user's names goes to the supervisor.

``lane.py`` decides when, ``namespace.py`` finds what has changed, ``describe.py`` says what a thing is and leaves a witness by
which the next pass sees in a microsecond that it is still so (``witness.py``). No code of the user's runs in any of them.
"""
