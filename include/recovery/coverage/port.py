"""What a kind of source does to have its things discovered. Each discoverer is listed in ``discover.DISCOVERERS``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from include.recovery.coverage.model import Found, Unseen

if TYPE_CHECKING:
    from include.recovery.workspace import Workspace


class Discoverer(Protocol):
    """Finds what exists of one kind."""

    @property
    def name(self) -> str:
        """What it finds, in one word, in the plural: ``databases``, ``buckets``."""

    def discover(self, workspace: Workspace) -> Iterator[Found | Unseen]:
        """Everything that exists on whatever a policy's connections reach, protected or not.

        What a server does not tell is an ``Unseen``, so that one server's trouble hides no other's; nothing is raised.
        Why something needs no protection is said by ``not_protected`` of the platform, and not here.
        """
