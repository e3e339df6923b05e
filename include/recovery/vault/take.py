"""A snapshot and an inventory of the same moment.

The server has no call that gives both. But the snapshot says at which entry of the log it was made, so an inventory
that was begun at the very same entry saw just what the snapshot holds. When the log has moved, both are taken again.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from include.recovery.content.model import Item
from include.recovery.errors import LifeboatError, SourceError
from include.recovery.fingerprint.model import NotCompared
from include.recovery.vault.inventory import UNLISTED, Inventory, unopened
from include.recovery.vault.snapshot import Snapshot, Tee, read

if TYPE_CHECKING:
    from typing import BinaryIO

    from include.recovery.content.port import Sink, Stored
    from include.recovery.vault.client import Vault

SNAPSHOT, FACTS = "snapshot", "facts"
_TRIES = 5
_PAUSE = 0.5


class _MovedError(LifeboatError):
    """The log has moved on since the inventory."""


@dataclass(frozen=True)
class Facts:
    """What a copy is compared by; a part of the backup, as its key is secret.

    :param key: of the digests, hexadecimal.
    :param listed: whether the inventory lists what is inside.
    :param shares: unseal keys that the server has, of which ``threshold`` open it.
    """

    key: str
    listed: bool
    shares: int
    threshold: int
    index: int
    term: int
    state: str
    size: int

    @property
    def snapshot(self) -> Snapshot:
        """That was taken."""
        return Snapshot(self.index, self.term, self.state, self.size)

    @classmethod
    def of(cls, stored: Stored) -> Facts:
        """Of a backup."""
        with stored.open(FACTS) as stream:
            return cls(**json.loads(stream.read()))


def take(vault: Vault, sink: Sink, *, listed: bool) -> tuple[Snapshot, tuple[NotCompared, ...]]:
    """Store a snapshot, the facts and the inventory.

    :param listed: whether to list what is inside, since there are keys to open a copy with.
    :return: with what the inventory does not cover.
    """
    key = secrets.token_bytes(32)
    for attempt in range(1, _TRIES + 1):
        first = vault.index()
        # Names and digests alone: small beside what they stand for, and not to be entered before they are known to fit.
        items: list[Item] = list(Inventory(vault, key).items()) if listed else []
        must_be = first if listed and attempt < _TRIES else None
        try:
            snapshot = _store_snapshot(vault, sink, must_be)
        except _MovedError:
            time.sleep(_PAUSE)
            continue
        break
    fits = listed and snapshot.index == first
    for item in [*(items if fits else ()), *snapshot.items()]:
        sink.item(item)
    status = vault.seal_status()
    facts = Facts(key.hex(), fits, int(status["n"]), int(status["t"]), **asdict(snapshot))
    with sink.writing(FACTS) as stream:
        stream.write(json.dumps(asdict(facts)).encode())
    if fits:
        return snapshot, UNLISTED
    if listed:
        return snapshot, (unopened(f"the log never stood still in {_TRIES} tries to list what is inside"),)
    return snapshot, (unopened("the policy names no connection with unseal keys"),)


def _store_snapshot(vault: Vault, sink: Sink, must_be: int | None) -> Snapshot:
    """Store a snapshot, checked as it passes.

    :raises _MovedError: before anything was stored, when it is of another index.
    """
    with ExitStack() as stack:
        tee = Tee(stack.enter_context(vault.snapshot()))

        def begun(index: int) -> None:
            if must_be is not None and index != must_be:
                raise _MovedError(f"the snapshot is of index {index}, the inventory of {must_be}")
            tee.pour_into(stack.enter_context(sink.writing(SNAPSHOT)))

        return read(cast("BinaryIO", tee), f"{vault.name}", SourceError, begun=begun)
