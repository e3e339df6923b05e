"""Putting back on the live server, key by key, behind a backup of what is there. Nothing is ever flushed.

First the present state becomes a backup of its own, held. Then only what differs between the two backups is changed,
each key under a watch: one that somebody has written since is left alone and named, so nothing is lost that no backup
holds. The way back is to put that backup back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from redis.exceptions import ResponseError, WatchError

from include.recovery.connections import ConnectionInfo
from include.recovery.content.compare import Change, changes
from include.recovery.content.model import Item
from include.recovery.errors import SourceError
from include.recovery.redis.connect import Link
from include.recovery.redis.content import NEVER, held_by, item_of, key_of
from include.recovery.redis.inventory import FUNCTIONS, libraries

TOGETHER = 100
"""Keys of one transaction."""
PROBE = b"lifeboat:probe"
_TOLERANCE_MS = 2_000
"""A server tells how long a key has still to live, not to the millisecond when it ends."""


@dataclass
class Work:
    """Makes a live server hold what a scratch server holds, where their inventories differ.

    :param scratch: path of the socket of the server that holds the backup.
    :param now: milliseconds since 1970.
    """

    live: ConnectionInfo
    scratch: str
    where: str
    now: Callable[[], int]
    changed: int = 0
    expired: int = 0
    written: list[str] = field(default_factory=list)

    def carry_out(self, wanted: Iterator[Item], present: Iterator[Item]) -> None:
        """Change what differs.

        :raises SourceError: before anything is changed, when the live server cannot take keys from ours.
        """
        different = changes(wanted, present)
        while batch := list(islice(different, TOGETHER)):
            by_database: dict[int, list[Change]] = defaultdict(list)
            for change in batch:
                if change.name.startswith(FUNCTIONS):
                    self._library(change)
                else:
                    by_database[key_of(change.name)[0]].append(change)
            for database, some in by_database.items():
                with Link.of(self.live, database) as live, Link.local(self.scratch, database) as scratch:
                    self._keys(live, scratch, some)

    def _keys(self, live: Link, scratch: Link, some: Sequence[Change]) -> None:
        commands = self._commands(scratch, some)
        if not commands:
            return
        self._probe(live, commands)
        if self._exchange(live, some, commands):
            return
        for change in some:  # somebody writes: those that he does not write are changed one by one
            key = key_of(change.name)[1]
            if key in commands and not self._exchange(live, [change], {key: commands[key]}):
                self.written.append(change.name)

    def _commands(self, scratch: Link, some: Sequence[Change]) -> dict[bytes, tuple[object, ...]]:
        commands: dict[bytes, tuple[object, ...]] = {}
        for change in some:
            key = key_of(change.name)[1]
            if change.expected is None:
                commands[key] = ("UNLINK", key)
                continue
            at = int(change.expected.at)
            if at != NEVER and at <= self.now():
                self.expired += 1  # it would have expired by now, had nothing happened
                continue
            payload = scratch.call("DUMP", key)
            commands[key] = ("RESTORE", key, 0 if at == NEVER else at, payload, "REPLACE", "ABSTTL")
        return commands

    def _probe(self, live: Link, commands: dict[bytes, tuple[object, ...]]) -> None:
        payload = next((command[3] for command in commands.values() if command[0] == "RESTORE"), None)
        if payload is None or self.changed:
            return
        try:
            live.call("RESTORE", PROBE, 1000, payload, "REPLACE")
            live.call("UNLINK", PROBE)
        except ResponseError as error:
            raise SourceError(
                f"{self.where}: the live Redis does not take a key from the worker's ({error}); it is older, or its "
                "login may not do this; nothing was changed"
            ) from error

    def _exchange(self, live: Link, some: Sequence[Change], commands: dict[bytes, tuple[object, ...]]) -> bool:
        """All of these keys, or none: False when one is not what the backup of the present state says."""
        known = {key_of(change.name)[1]: change.found for change in some}
        known = {key: item for key, item in known.items() if key in commands}
        with live.watching(list(known)) as transaction:
            # Read on another link: on the watching one, nothing can be asked many at a time.
            if not self._still(live, known):
                return False
            transaction.multi()
            for command in commands.values():
                transaction.execute_command(*command)
            try:
                transaction.execute()
            except WatchError:
                return False
        self.changed += len(commands)
        return True

    def _still(self, live: Link, known: dict[bytes, Item | None]) -> bool:
        keys = list(known)
        held = dict(held_by(live, keys))
        left = dict(zip(keys, live.many([("PTTL", key) for key in keys]), strict=True))
        now = self.now()
        for key, item in known.items():
            if key not in held:
                if item is not None and int(item.at) == NEVER:
                    return False  # deleted since; it may be wanted gone, but that was not seen when this was decided
                continue
            if item is None:
                return False
            at = int(item.at)
            if item_of(key_of(item.name)[0], key, held[key], at).digest != item.digest:
                return False
            ends = NEVER if left[key] < 0 else now + left[key]
            if (ends == NEVER) != (at == NEVER) or abs(ends - at) > _TOLERANCE_MS:
                return False
        return True

    def _library(self, change: Change) -> None:
        name = change.name.removeprefix(FUNCTIONS)
        with Link.of(self.live) as live, Link.local(self.scratch) as scratch:
            if change.expected is None:
                live.call("FUNCTION", "DELETE", name)
            else:
                code = next(each.code for each in libraries(scratch) if each.name == name)
                live.call("FUNCTION", "LOAD", "REPLACE", code)
        self.changed += 1
