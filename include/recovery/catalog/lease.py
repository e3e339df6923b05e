"""One writer at a time: a lease with an owner, a heartbeat, a time to live and a fencing number.

    <prefix>claims/<number>   who holds it, written once; the highest number is the holder
    <prefix>beats/<number>    the holder's heartbeat, which only the holder writes

A second run is refused while the lease lives. A later try of the same run takes it over at once, because Airflow starts
one only when the earlier is dead or lost; the earlier one notices at its next heartbeat, stops, and could not commit in
the meantime, because a commit asks for the highest number. A dead owner's lease expires.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.model import Record
from include.recovery.catalog.numbered import Numbered, Slot, numbered_key
from include.recovery.errors import LeaseHeld, LeaseLost, LifeboatError, ObjectMissing, PreconditionFailed
from include.recovery.stores.port import ObjectStore

_log = logging.getLogger(__name__)

DEFAULT_TTL = timedelta(minutes=2)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Owner(Record):
    """Who holds a lease.

    :param run_id: the same for all tries of a run; different runs exclude each other.
    :param try_number: a higher one takes over from a lower one of the same run.
    :param url: where the run can be watched.
    """

    run_id: str
    try_number: int
    host: str
    pid: int
    url: str | None = None

    @classmethod
    def of_this_process(cls, run_id: str, try_number: int = 1, url: str | None = None) -> Owner:
        """This process on this host."""
        return cls(run_id=run_id, try_number=try_number, host=socket.gethostname(), pid=os.getpid(), url=url)

    def __str__(self) -> str:
        return f"run {self.run_id} (try {self.try_number}, process {self.pid} on {self.host})"


class Claim(Record):
    """A holder's claim.

    :param writing: prefix of the backup that is being written.
    """

    owner: Owner
    writing: str
    since: AwareDatetime
    ttl_seconds: float


class Beat(Record):
    """A holder's sign of life."""

    at: AwareDatetime
    released: bool = False


class Lease:
    """A lease that this process holds. Use ``acquire``; leave the ``with`` block, or ``release``, to give it up."""

    def __init__(self, store: ObjectStore, prefix: str, fence: int, claim: Claim, clock: Clock) -> None:
        self.fence = fence
        self.claim = claim
        self.lost = threading.Event()
        self._store, self._prefix, self._clock = store, prefix, clock
        self._claims = Numbered(store, f"{prefix}claims/")
        self._ttl = claim.ttl_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, name=f"lease {prefix}", daemon=True)

    @classmethod
    def acquire(
        cls,
        store: ObjectStore,
        prefix: str,
        owner: Owner,
        *,
        writing: str,
        ttl: timedelta = DEFAULT_TTL,
        now: Clock = utc_now,
    ) -> Lease:
        """Take the lease, and keep it alive in a thread of its own.

        :param prefix: what is guarded, with a trailing slash.
        :param writing: prefix of the backup that will be written.
        :param ttl: after so long without a heartbeat anybody may take it.
        :raises LeaseHeld: naming the run that holds it.
        """
        claims = Numbered(store, f"{prefix}claims/")
        newest = claims.newest()
        if newest is not None:
            _refuse_if_held(store, prefix, claims, newest, owner, now())
        fence = 1 if newest is None else newest.number + 1
        claim = Claim(owner=owner, writing=writing, since=now(), ttl_seconds=ttl.total_seconds())
        try:
            claims.write(fence, claim.model_dump_json().encode())
        except PreconditionFailed:
            raise LeaseHeld(_held(prefix, "by a run that began at the same moment")) from None
        lease = cls(store, prefix, fence, claim, now)
        lease._beat()
        lease._thread.start()
        claims.prune(below=fence)
        Numbered(store, f"{prefix}beats/").prune(below=fence)
        return lease

    def check(self) -> None:
        """Nothing while the lease is ours, as far as the heartbeat knows.

        :raises LeaseLost: when it is not.
        """
        if self.lost.is_set():
            raise LeaseLost(
                f"{self._name()} was taken over by another run, or could not be kept alive; "
                "this run stops writing and leaves nothing that counts as a backup"
            )

    def check_fence(self) -> None:
        """Ask the store whether the lease is still ours.

        :raises LeaseLost: when somebody has a higher number.
        """
        newest = self._claims.newest()
        if newest is None or newest.number != self.fence:
            self.lost.set()
        self.check()

    def release(self) -> None:
        """Stop the heartbeat and let the next run in."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self.lost.is_set():
            try:
                self._beat(released=True)
            except LifeboatError as error:
                _log.warning("could not release %s, so it expires in %.0f s: %s", self._name(), self._ttl, error)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _beat(self, *, released: bool = False) -> None:
        beat = Beat(at=self._clock(), released=released)
        self._store.put(_beat_key(self._prefix, self.fence), beat.model_dump_json().encode())

    def _beat_until_ended(self) -> None:
        alive = time.monotonic()
        while not self._ended.wait(self._ttl / 4):
            try:
                self.check_fence()
                self._beat()
                alive = time.monotonic()
            except LeaseLost as error:
                _log.error("%s", error)
                return
            except LifeboatError as error:
                _log.warning("heartbeat of %s failed: %s", self._name(), error)
                # Nobody can tell that we live, so from the moment they may think otherwise, we must not write.
                if time.monotonic() - alive > self._ttl * 0.75:
                    self.lost.set()
                    return

    def _name(self) -> str:
        return f"the lease on backup {_what(self._prefix)}"


def live_claims(store: ObjectStore, prefix: str, now: datetime) -> Iterator[Claim]:
    """All live leases below a prefix."""
    folders = {version.key.rpartition("claims/")[0] for version in store.versions(prefix) if "/claims/" in version.key}
    for folder in sorted(folders):
        claims = Numbered(store, f"{folder}claims/")
        newest = claims.newest()
        if newest is not None:
            claim = _claim(claims, newest)
            if claim is not None and _is_live(store, folder, newest.number, claim, now):
                yield claim


def _refuse_if_held(
    store: ObjectStore, prefix: str, claims: Numbered, newest: Slot, owner: Owner, now: datetime
) -> None:
    claim = _claim(claims, newest)
    if claim is None:
        return
    is_later_try = claim.owner.run_id == owner.run_id and claim.owner.try_number < owner.try_number
    if is_later_try or not _is_live(store, prefix, newest.number, claim, now):
        return
    raise LeaseHeld(_held(prefix, f"since {claim.since:%Y-%m-%d %H:%M:%S %Z} by {claim.owner}"))


def _held(prefix: str, by_whom: str) -> str:
    return (
        f"backup {_what(prefix)} is being written already, {by_whom}; wait until that run has ended, or end it: "
        "a dead run's lease expires by itself"
    )


def _what(prefix: str) -> str:
    """``labdojo/main-db/postgres/leases/hourly/`` as people say it."""
    place, _, tier = prefix.rstrip("/").partition("/leases/")
    return f"{place} ({tier})" if tier else place


def _claim(claims: Numbered, slot: Slot) -> Claim | None:
    """What a slot says; None when it cannot be read, which nobody can hold a lease by."""
    try:
        return Claim.model_validate_json(claims.read(slot))
    except (ValidationError, ObjectMissing):
        return None


def _is_live(store: ObjectStore, prefix: str, fence: int, claim: Claim, now: datetime) -> bool:
    seen = claim.since
    try:
        beat = Beat.model_validate_json(store.get(_beat_key(prefix, fence))[0])
    except (ObjectMissing, ValidationError):
        pass
    else:
        if beat.released:
            return False
        seen = max(seen, beat.at)
    # A clock that runs ahead must not keep a dead owner alive for longer than its time to live.
    return abs(now - seen) <= timedelta(seconds=claim.ttl_seconds)


def _beat_key(prefix: str, fence: int) -> str:
    return numbered_key(f"{prefix}beats/", fence)
