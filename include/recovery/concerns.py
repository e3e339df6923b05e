"""What a watcher found: how grave, of which cause, and a sentence for the person on duty."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How soon somebody has to act; the higher, the sooner."""

    NOTE = 1
    """Worth knowing; nothing has to be done today."""
    WARNING = 2
    """Protection is weaker than promised, or will be; act today."""
    CRITICAL = 3
    """Protection is lost, or the protected server is about to stop; act now."""


@dataclass(frozen=True)
class Concern:
    """One thing that is wrong or will be.

    :param cause: a short stable name such as ``archive_command`` or ``slot standby1``: one alert per cause, once.
    :param sentence: where, what was found, what is allowed, what to do next.
    """

    severity: Severity
    cause: str
    sentence: str


def worst(concerns: Iterable[Concern]) -> Severity | None:
    """The gravest severity; None when there is no concern."""
    return max((concern.severity for concern in concerns), default=None)


def gravest_first(concerns: Iterable[Concern]) -> tuple[Concern, ...]:
    """In the order in which people should read them; one for each cause and sentence."""
    return tuple(sorted(dict.fromkeys(concerns), key=lambda concern: (-concern.severity, concern.cause)))
