"""What ``make test`` runs: ruff and mypy, then pytest with the arguments given, whose closing line is the last.

Run as ``python -m include.lab.check [PYTEST ARGUMENTS]``. With arguments only pytest runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

LINT = (["ruff", "check", "--no-cache", "--quiet", "."], ["mypy", "--cache-dir=/dev/null"])


EVERYTHING = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
"""Without arguments: all tests, in four processes, which share the servers of the session; most of them wait most of
the time."""


def main(arguments: Sequence[str]) -> None:
    """Never returns: pytest takes this process over."""
    for command in LINT if not arguments else ():
        print("$", *command, flush=True)
        code = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if code != 0:
            sys.exit(code)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(arguments or EVERYTHING)])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
