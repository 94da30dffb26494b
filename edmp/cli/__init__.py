"""The command line: ``edmp plan``, ``edmp bench``, ``edmp robot``, ``edmp generate``, ``edmp train``, ``edmp prior``.

Exit codes: 0 done, 1 no plan, 2 misuse (one line on stderr says what), 130 stopped by Ctrl-C.
"""

from edmp.cli.main import app, main

__all__ = ["app", "main"]
