"""Making a bucket hold what it held: older versions copied on top, deleted keys brought back, new ones hidden.

Nothing is taken away. What was current stays as an older version, and a key that was created since gets a delete
marker. So the bucket as it was before is itself a moment, to which it can be taken again; that moment is the *aside*.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from include.recovery.content.port import PutBack
from include.recovery.errors import BackupCorrupt, ObjectMissing, StoreError, StoreUnavailable
from include.recovery.objects.bucket import Bucket
from include.recovery.objects.changes import Task, Wanted
from include.recovery.objects.digest import Damaged, measured
from include.recovery.objects.in_order import Later, in_order
from include.recovery.objects.moments import next_second, shown
from include.recovery.objects.names import Names
from include.recovery.objects.precheck import refuse_unversioned
from include.recovery.parts.progress import Progress


class _Done(NamedTuple):
    """What became of a key.

    :param lost: why it could not be put back; empty when it was.
    :param told: that it came from the replica, and why.
    """

    key: str
    lost: str = ""
    told: str = ""


def apply(
    found: Iterable[Task], here: Bucket, there: Bucket, *, threads: int, stop: threading.Event, progress: Progress
) -> PutBack:
    """Carry the tasks out. Run again, it goes on with what is left, as what is done is no task any more.

    :raises BackupCorrupt: in the end, naming what neither bucket nor replica has; everything else is done.
    :raises SourceError: when the bucket no longer keeps versions, so that this would destroy; nothing is touched.
    """
    refuse_unversioned(here)
    # Everything that is there now bears an earlier time than this, everything that is put back a later one.
    aside = next_second(here, stop)
    work = _Work(here, there, progress)
    changed, lost, from_replica = 0, Names(), Names()
    jobs: Iterator[_Done | Later[_Done]] = (Later(functools.partial(work.carry_out, task)) for task in found)
    with closing(in_order(jobs, threads=threads, stop=stop)) as all_done:
        for done in all_done:
            changed += not done.lost
            if done.lost:
                lost.add(done.lost)
            if done.told:
                from_replica.add(done.told)
    where = f"the versions of bucket {here.bucket} as of {shown(aside)}"
    if lost:
        raise BackupCorrupt(
            f"bucket {here.bucket}: {changed} keys were put back, and {lost}; what was there before is {where}"
        )
    notes = (f"from the replica: {from_replica}",) if from_replica else ()
    return PutBack(changed, where, notes)


class _Work:
    def __init__(self, here: Bucket, there: Bucket, progress: Progress) -> None:
        self._here, self._there, self._progress = here, there, progress

    def carry_out(self, task: Task) -> _Done:
        key = task.change.name
        if task.wanted is None:
            self._here.delete(key)
            return _Done(key)
        wanted = task.wanted
        try:
            self._check(wanted)
            self._here.copy_on_top(key, wanted.item.at, wanted.item.size)
        except (ObjectMissing, Damaged) as why:
            return self._from_replica(wanted, why)
        now = self._here.about(key)["ContentLength"]
        if now != wanted.item.size:
            raise StoreError(
                f"bucket {self._here.bucket}: {key!r} was put back with {wanted.item.size} bytes and has {now}; does "
                "something else write to it?"
            )
        self._progress.add("put back", wanted.item.size, wanted.item.size)
        return _Done(key)

    def _check(self, wanted: Wanted) -> None:
        """Read the old version before it is made current: a damaged one never is."""
        item = wanted.item
        attributes, stream = self._here.fetch(item.name, item.at)
        with closing(stream):
            if item.digest and measured(stream, attributes) != item.digest:
                raise Damaged(f"version {item.at} of {item.name!r} is damaged in the bucket")

    def _from_replica(self, wanted: Wanted, why: ObjectMissing | Damaged) -> _Done:
        item = wanted.item
        reason = "is damaged" if isinstance(why, Damaged) else "is gone"
        if not wanted.copy:
            return _Done(item.name, lost=f"{item.name!r}: version {item.at} {reason}, and no copy of it is known")
        try:
            attributes, stream = self._there.fetch(item.name, wanted.copy)
            with closing(stream):
                self._here.store(item.name, stream, item.size, attributes, expected=item.digest)
        except StoreUnavailable:
            raise
        except (ObjectMissing, Damaged) as error:
            copy = "is damaged" if isinstance(error, Damaged) else "is gone too"
            return _Done(item.name, lost=f"{item.name!r}: version {item.at} {reason}, and its copy {copy}")
        self._progress.add("put back", item.size, item.size)
        return _Done(item.name, told=f"{item.name!r}, whose version {item.at} {reason}")


