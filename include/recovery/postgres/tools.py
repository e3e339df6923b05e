"""PostgreSQL's client tools and server programs, found by major version."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.recovery.errors import LifeboatError

DEBIAN_BINDIRS = "/usr/lib/postgresql"
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)[^\s]*)")


@dataclass(frozen=True)
class Tools:
    """One installation's programs.

    :param bindir: where they are.
    :param version: as the tools print it, such as ``15.14``.
    """

    bindir: Path
    version: str
    major: int

    def path(self, tool: str) -> str:
        """A program's full path.

        :raises LifeboatError: when this installation does not have it.
        """
        path = self.bindir / tool
        if not self.has(tool):
            raise LifeboatError(f"{tool} is not in {self.bindir}; install PostgreSQL {self.major}'s package for it")
        return str(path)

    def has(self, tool: str) -> bool:
        """Whether the program is there."""
        return os.access(self.bindir / tool, os.X_OK)


def find(major: int, *, tool: str = "pg_dump", environ: Mapping[str, str] | None = None) -> Tools:
    """The tools for a server: of its own major version if there are any, else of the nearest newer one.

    An older pg_dump refuses a newer server, and a newer one writes what an older pg_restore cannot read: the server's
    own is the best. Looked at are the folders in ``LIFEBOAT_PG_BINDIRS`` (separated by ``:``), Debian's, and ``PATH``.

    :param major: the server's major version.
    :param tool: a program that must be there.
    :raises LifeboatError: naming the versions that were found.
    """
    found = installed(os.environ if environ is None else environ)
    usable = [tools for tools in found if tools.major >= major and tools.has(tool)]
    if not usable:
        known = ", ".join(f"{tools.version} in {tools.bindir}" for tools in found) or "none"
        raise LifeboatError(
            f"no {tool} for PostgreSQL {major} was found (found: {known}); install the client package of version "
            f"{major} or newer, or name its folder in LIFEBOAT_PG_BINDIRS"
        )
    return min(usable, key=lambda tools: tools.major)


def major_of(version: str) -> int:
    """The major version out of what a server or tool says, such as ``15.14 (Debian 15.14-0+deb12u1)`` or ``18beta1``.

    :raises LifeboatError: when it begins with no number.
    """
    match = re.match(r"\d+", version)
    if match is None:
        raise LifeboatError(f"{version!r} is not the version of a PostgreSQL server; it begins with the major version")
    return int(match.group())


def installed(environ: Mapping[str, str]) -> list[Tools]:
    """Every installation in reach, in the order in which they are preferred within one major version."""
    named = [Path(part) for part in environ.get("LIFEBOAT_PG_BINDIRS", "").split(os.pathsep) if part]
    debian = sorted(Path(DEBIAN_BINDIRS).glob("*/bin"), reverse=True)
    on_path = [Path(part) for part in environ.get("PATH", "").split(os.pathsep) if part]
    result: dict[Path, Tools] = {}
    for folder in [*named, *debian, *on_path]:
        version = _version_in(folder) if os.access(folder / "pg_dump", os.X_OK) else None
        if version is not None and folder not in result:
            result[folder] = Tools(bindir=folder, version=version[0], major=version[1])
    return list(result.values())


@functools.cache
def _version_in(folder: Path) -> tuple[str, int] | None:
    try:
        answer = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout)
    return (match.group(1), int(match.group(2))) if match else None
