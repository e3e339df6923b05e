"""A folder of policies: everything that is valid in it, and every problem with the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from include.recovery.errors import PolicyError
from include.recovery.policy.base import PolicyModel
from include.recovery.policy.models import Platform, ProtectedSystem
from include.recovery.policy.rules import broken_between, broken_rules, broken_with_platform, platform_rules
from include.recovery.policy.sentences import dotted, sentence
from include.recovery.policy.yaml_source import Broken, BrokenYaml, Document, read_yaml
from include.recovery.policy.yaml_source import Path as DocumentPath

PLATFORM = "platform"
_SUFFIX = ".yaml"

Model = TypeVar("Model", bound=PolicyModel)


@dataclass(frozen=True)
class Reading(Generic[Model]):
    """One file, read: the model when it is valid, every problem when it is not.

    :param name: the file's name, such as ``labdojo.yaml``.
    """

    name: str
    model: Model | None
    problems: tuple[str, ...]
    document: Document | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PolicySet:
    """All policies of a folder.

    :param systems: the valid ones by name, in the order of priority.
    :param problems: every problem of every file: file, line, dotted path, what was found, what is allowed.
    :param broken: system (file stem) to its own problems.
    """

    folder: Path
    systems: dict[str, ProtectedSystem]
    broken: dict[str, tuple[str, ...]]
    problems: tuple[str, ...]
    valid_platform: Platform | None

    @property
    def platform(self) -> Platform:
        """What all systems share.

        :raises PolicyError: when platform.yaml is missing or invalid, with its problems.
        """
        if self.valid_platform is None:
            raise PolicyError(self.broken[PLATFORM])
        return self.valid_platform

    @property
    def alarm(self) -> str:
        """What the problems mean, in one line; empty when there are none."""
        stopped = sorted(name for name in self.broken if name != PLATFORM)
        lines = [f"NO SCHEDULE RUNS for {', '.join(stopped)}"] if stopped else []
        lines += ["EVERY TASK FAILS until platform.yaml is right"] if self.valid_platform is None else []
        return "; ".join(lines) + (": correct these and all is back" if lines else "")

    def system(self, name: str) -> ProtectedSystem:
        """A system's policy.

        :raises PolicyError: with its problems when it is invalid, or with the known names when there is none.
        """
        if name in self.systems:
            return self.systems[name]
        if name in self.broken and name != PLATFORM:
            raise PolicyError(self.broken[name])
        raise PolicyError(
            [f"there is no system {name!r} in {self.folder}; known are {', '.join(sorted(self.systems)) or 'none'}"]
        )


def policies_folder() -> Path:
    """The folder that ``LIFEBOAT_POLICIES`` names, or the project's own ``include/policies``."""
    named = os.environ.get("LIFEBOAT_POLICIES")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "policies"


def load_folder(folder: Path) -> PolicySet:
    """Everything that a folder of policies says. A bad file never raises here: its problems are in the result.

    :param folder: holds ``platform.yaml`` and one ``<system>.yaml`` for each system.
    """
    broken: dict[str, list[str]] = {}
    platform_reading = read_platform(folder / f"{PLATFORM}{_SUFFIX}")
    if platform_reading.problems:
        broken[PLATFORM] = list(platform_reading.problems)
    readings = {
        path.stem: read_system(path, platform_reading.model)
        for path in sorted(folder.glob(f"*{_SUFFIX}"))
        if path.stem != PLATFORM
    }
    for path in sorted(folder.glob("*.yml")):
        broken[path.stem] = [f"{path.name}: the file is not read; rename it to {path.stem}{_SUFFIX}"]
    if not readings:
        broken.setdefault(folder.name, [f"{folder}: there is no policy; add a {_SUFFIX} file for each system"])
    for name, reading in readings.items():
        if reading.problems:
            broken[name] = list(reading.problems)
    valid = {name: reading.model for name, reading in readings.items() if reading.model is not None}
    for name, broken_rule in broken_between(valid, readings):
        broken.setdefault(name, []).extend(_lines(readings[name].name, readings[name].document, [broken_rule]))
    systems = sorted(
        (system for name, system in valid.items() if name not in broken), key=lambda s: (s.priority, s.system)
    )
    return PolicySet(
        folder=folder,
        systems={system.system: system for system in systems},
        broken={name: tuple(lines) for name, lines in broken.items()},
        problems=tuple(line for lines in broken.values() for line in lines),
        valid_platform=platform_reading.model,
    )


def read_system(path: Path, platform: Platform | None) -> Reading[ProtectedSystem]:
    """One system's file.

    :param platform: to check the names of stores against; None skips that.
    """

    def rules(system: ProtectedSystem) -> list[Broken]:
        broken: list[Broken] = []
        if system.system != path.stem:
            broken.append(
                (
                    ("system",),
                    f"found {system.system!r} in the file {path.name}; allowed is {path.stem!r}, or rename the file",
                )
            )
        broken += broken_rules(system)
        return broken if platform is None else [*broken, *broken_with_platform(system, platform)]

    return _read(path, ProtectedSystem, rules)


def read_platform(path: Path) -> Reading[Platform]:
    """The file that all systems share."""

    def rules(platform: Platform) -> list[Broken]:
        broken = list(platform_rules(platform))
        key = platform.encryption.escrow_public_key
        try:
            platform.encryption.escrow_public_key_pem(path.parent)
        except (OSError, ValueError) as error:
            where = ("encryption", "escrow_public_key")
            broken.append(
                (
                    where,
                    f"found {key!r}, which cannot be read ({error}); allowed is a PEM file's path, or the PEM text",
                )
            )
        return broken

    return _read(path, Platform, rules)


def check_text(name: str, text: str, model: type[Model], rules: Callable[[Model], Iterable[Broken]]) -> Reading[Model]:
    """A policy from its text, with every problem at once.

    Rules across fields are judged when the fields themselves are right; unknown keys do not stand in the way.

    :param name: of the file, for the messages.
    """
    try:
        document = read_yaml(text)
    except BrokenYaml as error:
        return Reading(name, None, (f"{name}:{error.line}: {error}; correct the line",))
    problems: list[tuple[DocumentPath, str]] = [
        (twice.path, f"the key {str(twice.path[-1])!r} was already given on line {twice.first_line}; keep one of them")
        for twice in document.duplicates
    ]
    found, errors = _validated(model, document.value)
    problems += errors
    if found is not None:
        problems += rules(found)
    lines = _lines(name, document, problems)
    return Reading(name, None if lines else found, tuple(lines), document)


def _read(path: Path, model: type[Model], rules: Callable[[Model], Iterable[Broken]]) -> Reading[Model]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Reading(path.name, None, (f"{path.name}: the file is missing in {path.parent}; create it",))
    except (OSError, UnicodeDecodeError) as error:
        return Reading(
            path.name, None, (f"{path.name}: the file cannot be read ({error}); it must be readable UTF-8 text",)
        )
    return check_text(path.name, text, model, rules)


def _validated(model: type[Model], value: Any) -> tuple[Model | None, list[Broken]]:
    """The model of a value and its problems; both, when only unknown keys are wrong."""
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        details = _independent(error.errors())
        problems = _merged([sentence(model, detail) for detail in details])
        if all(detail["type"] == "extra_forbidden" for detail in details):
            without = _without(value, [path for path, _ in problems])
            return _validated(model, without)[0], problems
        return None, problems


def _independent(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Errors without those that say a list is too short only because some of its items are wrong."""

    def about_items(detail: ErrorDetails) -> bool:
        depth = len(detail["loc"])
        return any(len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in details)

    return [detail for detail in details if detail["type"] != "too_short" or not about_items(detail)]


def _merged(problems: list[Broken]) -> list[Broken]:
    """One problem for each path: the alternatives of a union are joined to one sentence."""
    merged: dict[tuple[DocumentPath, str], str] = {}
    for path, text in problems:
        found, separator, allowed = text.partition("; allowed is ")
        key = (path, found)
        merged[key] = f"{merged[key]}, or {allowed}" if key in merged and separator else text
    return [(path, text) for (path, _), text in merged.items()]


def _without(value: Any, paths: list[DocumentPath]) -> Any:
    """A copy of plain values without the keys at some paths."""
    gone = {path[0] for path in paths if len(path) == 1}
    deeper = {
        key: [path[1:] for path in paths if len(path) > 1 and path[0] == key]
        for key in {path[0] for path in paths if path}
    }
    if isinstance(value, dict):
        return {key: _without(item, deeper.get(key, [])) for key, item in value.items() if key not in gone}
    if isinstance(value, list):
        return [_without(item, deeper.get(number, [])) for number, item in enumerate(value)]
    return value


def _lines(name: str, document: Document | None, problems: Iterable[Broken]) -> list[str]:
    """Problems as lines for people, in the order of the file."""
    placed = [(1 if document is None else document.line(path), path, text) for path, text in problems]
    placed.sort(key=lambda item: item[0])
    return [f"{name}:{line}: {dotted(path)}: {text}" for line, path, text in placed]
