"""``python -m include.lab.server start|stop NAME DATA RUN LOGS``: a database server of the lab, as its host's service.

What ``extra.start`` and ``extra.stop`` of a cluster's connection name, where production has ``systemctl``. The server
goes into the lab's record and out of it, so that ``make demo-down`` stops it whoever has started it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from include.lab.errors import LabError
from include.lab.postgres import launch
from include.lab.processes import Registry

WORDS = 5


def main(words: list[str]) -> int:
    """Run one command; 1 when it cannot be done."""
    if len(words) != WORDS or words[0] not in {"start", "stop"}:
        print(__doc__, file=sys.stderr)
        return 2
    verb, name, data, run, logs = words
    registry = Registry(Path(run), Path(logs))
    try:
        if verb == "stop":
            registry.stop(name, seconds=300)
        else:
            launch(registry, name, Path(data))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
