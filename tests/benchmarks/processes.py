"""Run a command and see what it costs: wall time, and the memory of it and all its children at their peak."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SAMPLED_EVERY = 0.05


@dataclass(frozen=True)
class Cost:
    """What a command took.

    :param seconds: from its start to its end.
    :param peak: bytes, the sum over it and its children of what each holds in memory (shared pages by share); 0 when
        it was not measured.
    """

    seconds: float
    peak: int
    output: str


def run(argv: Sequence[str], environment: Mapping[str, str], *, memory: bool = False) -> Cost:
    """Run a command to its end.

    :param memory: watch its memory, which costs a little time.
    :raises RuntimeError: when it fails, with the end of what it said.
    """
    began = time.monotonic()
    process = subprocess.Popen(
        list(argv), env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    watch = _Watch(process.pid) if memory else None
    out, said = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)[:200]} failed: {said.decode(errors='replace')[-2000:]}")
    return Cost(seconds, watch.end() if watch else 0, out.decode(errors="replace"))


def shell(script: str, environment: Mapping[str, str]) -> Cost:
    """Run a shell script; a failure anywhere in a pipe fails it."""
    return run(["bash", "-eu", "-o", "pipefail", "-c", script], environment)


class _Watch:
    """Looks at a process and its descendants again and again."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """Stop looking; the peak in bytes."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._over.wait(_SAMPLED_EVERY):
            self._peak = max(self._peak, sum(held(pid) for pid in family(self._pid)))


def family(pid: int) -> list[int]:
    """A process and its descendants, as far as they are alive."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are enough, and this runs often
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, ahead = [], [pid]
    while ahead:
        found.append(ahead[-1])
        ahead += children.get(ahead.pop(), [])
    return found


def held(pid: int) -> int:
    """Bytes that a process holds in memory: its own pages, and its share of the shared ones."""
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has just ended
    return 0
