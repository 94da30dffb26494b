"""The command line, called in this process."""

from __future__ import annotations

import pytest

from edmp.cli import main


def run(*arguments: object) -> int:
    """Exit code of ``edmp`` with these arguments."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)
