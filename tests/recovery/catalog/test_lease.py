"""One writer at a time, and a dead one does not block the living."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from include.recovery.catalog.lease import Lease, Owner, live_claims
from include.recovery.errors import LeaseHeld, LeaseLost, StoreUnavailable
from include.recovery.stores.folder import FolderStore

PREFIX = "labdojo/main-db/postgres/leases/hourly/"
TTL = timedelta(minutes=2)


def owner(run: str = "run-1", try_number: int = 1) -> Owner:
    return Owner(run_id=run, try_number=try_number, host="worker-1", pid=42)


@pytest.fixture
def take(store: FolderStore, clock: Callable) -> Callable[..., Lease]:
    def take(who: Owner, ttl: timedelta = TTL) -> Lease:
        return Lease.acquire(store, PREFIX, who, writing="labdojo/main-db/postgres/x/", ttl=ttl, now=clock)

    return take


def test_a_second_run_is_refused_with_a_sentence(take: Callable[..., Lease]) -> None:
    with take(owner()):
        with pytest.raises(LeaseHeld) as caught:
            take(owner("run-2"))
        assert str(caught.value) == (
            "backup labdojo/main-db/postgres (hourly) is being written already, since 2026-11-21 07:00:00 UTC by run "
            "run-1 (try 1, process 42 on worker-1); wait until that run has ended, or end it: a dead run's lease "
            "expires by itself"
        )


def test_a_released_lease_lets_the_next_run_in(take: Callable[..., Lease]) -> None:
    with take(owner()) as first:
        assert first.fence == 1
    with take(owner("run-2")) as second:
        assert second.fence == 2


def test_a_later_try_of_the_same_run_takes_over_at_once(take: Callable[..., Lease]) -> None:
    old = take(owner(try_number=1))
    with take(owner(try_number=2)) as new:
        assert new.fence == 2
        with pytest.raises(LeaseLost, match="this run stops writing"):
            old.check_fence()
        assert old.lost.is_set()
        new.check_fence()
    old.release()


@pytest.mark.parametrize("try_number", [1, 2])
def test_the_same_or_an_earlier_try_is_refused(take: Callable[..., Lease], try_number: int) -> None:
    """Celery delivers a task again while it runs: same run, same try."""
    with take(owner(try_number=2)), pytest.raises(LeaseHeld):
        take(owner(try_number=try_number))


def test_a_dead_owners_lease_expires(take: Callable[..., Lease], clock: Callable) -> None:
    dead = take(owner())
    clock.pass_by(minutes=1.9)
    with pytest.raises(LeaseHeld):
        take(owner("run-2"))
    clock.pass_by(minutes=0.2)
    with take(owner("run-2")) as new:
        assert new.fence == 2
        with pytest.raises(LeaseLost):
            dead.check_fence()
    dead.release()


def test_an_owner_whose_clock_ran_ahead_does_not_hold_it_for_ever(take: Callable[..., Lease], clock: Callable) -> None:
    ahead = take(owner())
    clock.pass_by(hours=-5)
    with take(owner("run-2")):
        pass
    ahead.release()


def test_the_heartbeat_keeps_it_and_notices_its_loss(
    take: Callable[..., Lease], store: FolderStore, clock: Callable
) -> None:
    ttl = timedelta(seconds=0.2)
    with take(owner(), ttl) as lease:
        clock.pass_by(seconds=10)
        (beat,) = store.list(f"{PREFIX}beats/")
        wait_for(lambda: clock().isoformat()[:19] in store.get(beat.key)[0].decode())
        with pytest.raises(LeaseHeld):
            take(owner("run-2"))
        rival = take(owner(try_number=2))
        assert lease.lost.wait(5)
        with pytest.raises(LeaseLost):
            lease.check()
        rival.release()


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(250):
        if condition():
            return
        pause.wait(0.02)
    pytest.fail("it did not happen within 5 s")


class Failing(FolderStore):
    """A store that goes away."""

    gone = False

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        if self.gone:
            raise StoreUnavailable("gone")
        return super().put(key, data, if_absent=if_absent)


def test_who_cannot_be_seen_alive_stops_writing_before_others_may_begin(tmp_path: Path) -> None:
    store = Failing("primary", tmp_path)
    lease = Lease.acquire(store, PREFIX, owner(), writing="x", ttl=timedelta(seconds=0.4))
    store.gone = True
    assert lease.lost.wait(5)
    lease.release()


def test_an_unreadable_claim_holds_nobody_up(take: Callable[..., Lease], store: FolderStore) -> None:
    lease = take(owner())
    (claim,) = store.list(f"{PREFIX}claims/")
    store.put(claim.key, b"\x00 nonsense")
    with take(owner("run-2")) as next_one:
        assert next_one.fence == 2
    lease.release()


def test_live_claims_name_what_is_being_written(
    take: Callable[..., Lease], store: FolderStore, clock: Callable
) -> None:
    with take(owner()):
        below = "labdojo/main-db/postgres/leases/"
        assert [claim.writing for claim in live_claims(store, below, clock())] == ["labdojo/main-db/postgres/x/"]
        assert list(live_claims(store, below, clock() + timedelta(hours=1))) == []
    assert list(live_claims(store, below, clock())) == []
