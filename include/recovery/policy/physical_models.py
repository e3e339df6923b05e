"""Physical protection of a PostgreSQL source: its whole cluster, by pgBackRest, with the log that rolls it forward."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from include.recovery.policy.base import Duration, PolicyModel, Size, Wait, Word, at_least
from include.recovery.policy.durations import print_wait
from include.recovery.policy.sizes import parse_size, print_size

_HIGHEST_LEVEL = {"zst": 19, "lz4": 12, "gz": 9}
_LONGEST_LOCK_TIMEOUT = timedelta(seconds=10)
_SMALLEST_QUEUE = parse_size("64MiB")


class WalArchive(PolicyModel):
    """The server's continuous archive of its write-ahead log; what is lost at worst is the sum of the first two times.

    Only a physical base backup can be rolled forward with it; a ``pg_dump`` cannot.
    """

    archive_timeout: Annotated[
        Duration,
        at_least(timedelta(seconds=1)),
        Field(
            description="The server's archive_timeout: a quiet database closes a segment this often.", examples=["60s"]
        ),
    ]
    push_allowance: Annotated[
        Duration,
        Field(
            description="How long a closed segment may take to reach the store before it counts as late.",
            examples=["60s"],
        ),
    ]
    keep: Annotated[
        Duration,
        at_least(timedelta(hours=1)),
        Field(
            description="The window of point-in-time recovery: any second of so much past can be restored. WAL that a "
            "kept backup needs is kept longer.",
            examples=["72h", "14d"],
        ),
    ] = timedelta(hours=72)
    replay_proof: Annotated[
        Duration | None,
        at_least(timedelta(minutes=1)),
        Field(
            description="How often the continuous replay proof looks: a scratch standby, fed from the archive of "
            "the first of the source's stores alone, replays every segment within minutes after it was archived. It "
            "takes the cluster's size on the scratch disk and a small server's memory; left out, there is none.",
            examples=["15m"],
        ),
    ] = None


class Compression(PolicyModel):
    """How pgBackRest compresses backups and WAL."""

    type: Annotated[
        Literal["zst", "lz4", "gz"],
        Field(description="zst is fast and small, lz4 the fastest, gz slow and readable everywhere.", examples=["zst"]),
    ] = "zst"
    level: Annotated[
        StrictInt,
        Field(ge=1, le=19, description="Higher is smaller and slower; at most 12 for lz4, 9 for gz.", examples=[3]),
    ] = 3

    @model_validator(mode="after")
    def _level_fits_type(self) -> Compression:
        highest = _HIGHEST_LEVEL[self.type]
        if self.level > highest:
            raise ValueError(f"found level {self.level} of {self.type}; allowed is at most {highest}")
        return self


class RestorePointOptions(PolicyModel):
    """How verifiable recovery points are made: a named point in the WAL, with a fingerprint of that very state.

    Writers wait while the tables are locked, for milliseconds, and never longer than ``lock_timeout``.
    """

    every: Annotated[
        Duration,
        at_least(timedelta(minutes=1)),
        Field(description="How often a point is made; one is also made after each backup.", examples=["1h"]),
    ] = timedelta(hours=1)
    lock_timeout: Annotated[
        Wait,
        Field(
            description="Longest wait for the tables' locks before a try is given up; writers may wait as long.",
            examples=["200ms"],
        ),
    ] = timedelta(milliseconds=200)
    attempts: Annotated[
        StrictInt,
        Field(ge=1, le=100, description="Tries, with growing pauses, before the point is given up.", examples=[5]),
    ] = 5

    @field_validator("lock_timeout")
    @classmethod
    def _is_short(cls, value: timedelta) -> timedelta:
        if not timedelta(milliseconds=1) <= value <= _LONGEST_LOCK_TIMEOUT:
            allowed = f"1ms to {print_wait(_LONGEST_LOCK_TIMEOUT)}, since writers may wait as long"
            raise ValueError(f"found {print_wait(value)!r}; allowed is {allowed}")
        return value


class PhysicalOptions(PolicyModel):
    """How pgBackRest protects the whole cluster of a source. It runs on the database's host, as the server's user."""

    connection: Annotated[
        Word,
        Field(
            description="Connection of a superuser over the cluster's unix socket; where the data directory is, and "
            "all else, is asked from the server.",
            examples=["labdojo_cluster"],
        ),
    ]
    process_max: Annotated[
        StrictInt | None,
        Field(ge=1, le=64, description="Parallel processes; left out, as many as the host has cores.", examples=[2]),
    ] = None
    compress: Annotated[
        Compression,
        Field(description="Compression of backups and WAL.", examples=[{"type": "zst", "level": 3}]),
    ] = Compression()
    queue_max: Annotated[
        Size,
        Field(
            description="WAL that may wait on the primary's disk for a store that does not answer; beyond it WAL is "
            "dropped, which leaves a gap that is reported, so that the disk cannot fill.",
            examples=["1GiB"],
        ),
    ] = parse_size("1GiB")
    backup_from: Annotated[
        Literal["primary", "standby"],
        Field(description="Which server the files are read from; 'standby' spares the primary.", examples=["primary"]),
    ] = "primary"
    standby: Annotated[
        Word | None,
        Field(
            description="Connection of a superuser to the hot standby, which is then watched; leave out where there is "
            "none.",
            examples=["labdojo_standby"],
        ),
    ] = None
    restore_points: Annotated[
        RestorePointOptions | None,
        Field(
            description="How recovery points are made whose restored copy can be compared row by row; null: no locks "
            "at all, only heartbeats, which prove less.",
            examples=[{"every": "1h", "lock_timeout": "200ms", "attempts": 5}],
        ),
    ] = RestorePointOptions()
    heartbeat: Annotated[
        Duration,
        at_least(timedelta(seconds=1)),
        Field(
            description="How often a row with the time is written, from which a restore reads what was really lost.",
            examples=["1m"],
        ),
    ] = timedelta(minutes=1)

    @field_validator("queue_max")
    @classmethod
    def _holds_some_segments(cls, value: int) -> int:
        if value < _SMALLEST_QUEUE:
            raise ValueError(f"found {print_size(value)!r}; allowed is at least {print_size(_SMALLEST_QUEUE)}")
        return value
