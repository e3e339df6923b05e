"""What a restored tree of files must answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.errors import BackupCorrupt
from include.recovery.evidence.model import Check, Outcome
from include.recovery.kubernetes.archive import SELECTED, files
from include.recovery.kubernetes.document import Object, name_of, parsed
from include.recovery.kubernetes.helm import is_release, release_of
from include.recovery.kubernetes.order import Surroundings
from include.recovery.kubernetes.references import needs, provides
from include.recovery.kubernetes.report import FILE, left_out_in
from include.recovery.kubernetes.scope import excluded_kind, excluded_object
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

_SHOWN = 5


class Reading:
    """What one pass over all files found."""

    def __init__(self, source: KubernetesSource, left_out: dict[str, str]) -> None:
        self._source, self._left_out = source, left_out
        self.files = 0
        self.unreadable: list[str] = []
        self.values: list[str] = []
        self._there: set[str] = set()
        self._needed: dict[str, str] = {}
        self._around = Surroundings()

    def read(self, folder: Path) -> None:
        """Go through a tree."""
        for path in files(folder):
            self.files += 1
            where = path.relative_to(folder).as_posix()
            try:
                found = parsed(path.read_bytes(), where)
                self._take(found, folder)
            except (BackupCorrupt, OSError) as error:
                self.unreadable.append(str(error))

    def _take(self, found: Object, folder: Path) -> None:
        name = name_of(found)
        self._there |= {name, *provides(found)}
        self._around.add(found)
        for need in needs(found):
            if not need.optional:
                self._needed.setdefault(need.name, name)
        if is_release(found):
            self.values += _wrong_values(found, folder)

    def missing_references(self) -> list[str]:
        """Who needs what, where that is neither there nor left out by name."""
        return [
            f"{who} needs {name}"
            for name, who in sorted(self._needed.items())
            if name not in self._there and name not in self._left_out and not self._is_excluded(name)
        ]

    def missing_surroundings(self) -> list[str]:
        """What the objects stand in and is not there."""
        return [clause for kind, clause in self._around.missing() if excluded_kind(self._source, kind) is None]

    def _is_excluded(self, name: str) -> bool:
        group, kind, last = name.split("/")[-3:]
        return excluded_object(self._source, f"{group}/{kind}", last) is not None


def questions(source: KubernetesSource, folder: Path) -> Sequence[Check]:
    """The answers of a tree; of a selection only that its files can be read."""
    whole = not (folder / SELECTED).exists()
    report = folder / FILE
    left_out = left_out_in(report.read_bytes(), FILE) if report.exists() else {}
    reading = Reading(source, left_out)
    reading.read(folder)
    checks = [_check(source, "every file is an object of Kubernetes", f"all of {reading.files}", reading.unreadable)]
    if whole:
        checks += [
            _check(
                source, "what objects need is in the backup, or left out by name", "nothing missing",
                reading.missing_references(),
            ),
            _check(
                source, "the objects can be applied in order", "every namespace and every custom kind is defined",
                reading.missing_surroundings(),
            ),
            _check(
                source, "the readable values of Helm's releases are those of the releases", "no difference",
                reading.values,
            ),
        ]  # fmt: skip
    return checks


def _check(source: KubernetesSource, name: str, expected: str, wrong: list[str]) -> Check:
    shown = "; ".join(wrong[:_SHOWN]) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
    return Check(
        name=name, outcome=Outcome.FAILED if wrong else Outcome.PASSED, source=source.name, expected=expected,
        found=shown or expected, output="\n".join(wrong),
    )  # fmt: skip


def _wrong_values(found: Object, folder: Path) -> Iterator[str]:
    try:
        release = release_of(found)
    except BackupCorrupt:
        return  # told when the backup was taken; the Secret is kept as it was
    for path, content in release.files():
        try:
            same = (folder / path).read_bytes() == content
        except OSError:
            same = False
        if not same and not (folder / SELECTED).exists():
            yield f"{path} is not what the release holds"
