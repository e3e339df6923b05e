"""What all systems share: stores that do not answer, policies that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.concerns import Concern, Severity
from include.recovery.errors import LifeboatError
from include.recovery.watchdog.look import Look


def stores(look: Look) -> Iterator[Concern]:
    """Each store that could not be looked at."""
    for name, seen in look.stores.items():
        if isinstance(seen, LifeboatError):
            yield Concern(
                Severity.CRITICAL, f"store {name}",
                f"store {name} cannot be looked at ({seen}), so nothing that is in it can be judged or restored; bring "
                "it back, and see that its network and credentials are as before",
            )


def policies(look: Look) -> Iterator[Concern]:
    """Each policy that cannot be used: its schedules stand still."""
    for name, problems in look.workspace.policies.broken.items():
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield Concern(
            Severity.CRITICAL, f"policy {name}",
            f"the policy of {name} cannot be used, and its schedules stand still: {problems[0]}{more}; correct the "
            "file, and they come back by themselves",
        )
