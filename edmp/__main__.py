"""``python -m edmp``."""

from edmp.cli import main

main()
