"""What each run of retention leaves beside the backups.

    <system>/retention/<store>/<source>/<time>.json     what went, what could not, and why; when the last run was
    <system>/retention/<store>/<source>/clock           written to ask the store for its time
    <system>/retention/<store>/shown/<run>.json         the plan that a run showed before it removed anything
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import AwareDatetime, ValidationError

from include.recovery.catalog.in_use import forget
from include.recovery.catalog.layout import timed_key
from include.recovery.catalog.model import Record
from include.recovery.errors import LifeboatError, ObjectMissing, Refused
from include.recovery.evidence.words import listed, plural
from include.recovery.stores.port import ObjectStore

if TYPE_CHECKING:
    from include.recovery.retention.gather import SourcePlan


class Done(Record):
    """What became of one backup that the plan lets go.

    :param backup: its name.
    :param why: the plan's reason.
    :param outcome: ``removed``, ``leftovers``, ``locked``, ``in use``, ``waiting`` (for a dependant) or ``failed``.
    :param detail: in words.
    """

    backup: str
    why: str
    outcome: Literal["removed", "leftovers", "locked", "in use", "waiting", "failed"]
    detail: str
    freed: int = 0


class RunRecord(Record):
    """One run on one source in one store.

    :param refusal: why nothing at all was removed.
    :param kept: how many backups the plan keeps.
    :param done: those that it lets go.
    :param problems: what failed besides.
    :param wal: which write-ahead log stays, in words.
    """

    schema_version: Literal[1] = 1
    system: str
    source: str
    store: str
    at: AwareDatetime
    by: str
    refusal: str | None = None
    kept: int = 0
    done: tuple[Done, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    wal: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """Everything that went wrong, a sentence each."""
        failed = (f"{done.backup}: {done.detail}" for done in self.done if done.outcome == "failed")
        return (*((self.refusal,) if self.refusal else ()), *self.problems, *failed)

    @property
    def sentence(self) -> str:
        """The run in words."""
        where = f"{self.source} in {self.store}"
        if self.refusal:
            return f"{where}: nothing was removed: {self.refusal}"
        counts = [
            (what, sum(done.outcome in outcomes for done in self.done))
            for what, outcomes in (
                ("removed", {"removed", "leftovers"}),
                ("waiting for the end of their lock", {"locked"}),
                ("still being read or needed", {"in use", "waiting"}),
                ("failed", {"failed"}),
            )
        ]
        went = listed([f"{count} {what}" for what, count in counts if count], empty="nothing to remove")
        return f"{where}: {went}; {plural(self.kept, 'backup')} kept"


class Shown(Record):
    """A backup that a plan lets go.

    :param backup: its name.
    """

    backup: str
    why: str


class ShownPlan(Record):
    """What a plan showed of a system in one store, before anything is removed."""

    schema_version: Literal[1] = 1
    system: str
    store: str
    run: str
    at: AwareDatetime
    going: tuple[Shown, ...]
    kept: int
    refusals: tuple[str, ...] = ()

    @classmethod
    def of(cls, system: str, store: str, run: str, at: datetime, plans: Sequence[SourcePlan]) -> ShownPlan:
        """The plans of all sources together."""
        return cls(
            system=system,
            store=store,
            run=run,
            at=at,
            going=tuple(
                Shown(backup=made.backups[decision.row.key].manifest.name, why=decision.why)
                for made in plans
                for decision in made.plan.expired
            ),
            kept=sum(len(made.plan.kept) for made in plans),
            refusals=tuple(dict.fromkeys(made.plan.refusal for made in plans if made.plan.refusal)),
        )

    @property
    def names(self) -> frozenset[str]:
        """The backups that it lets go."""
        return frozenset(shown.backup for shown in self.going)


def show(store: ObjectStore, plan: ShownPlan, name: str) -> str:
    """Store a plan that was shown, and return its key.

    :param name: of the run and try, as one segment of a key.
    """
    key = f"{plan.system}/retention/{plan.store}/shown/{name}.json"
    store.put(key, plan.model_dump_json(indent=1).encode())
    return key


def read_shown(store: ObjectStore, key: str, system: str, of_store: str) -> ShownPlan:
    """A plan that was shown.

    :raises Refused: when there is none under that key, or it is about something else.
    """
    try:
        plan = ShownPlan.model_validate_json(store.get(key)[0])
    except (ObjectMissing, ValidationError):
        raise Refused(f"store {store.name}: {key} is no retention plan; plan again, and apply what it shows") from None
    if (plan.system, plan.store) != (system, of_store):
        raise Refused(
            f"store {store.name}: {key} is a plan for {plan.system} in {plan.store}, not for {system} in {of_store}; "
            "plan again"
        )
    return plan


def folder(system: str, store: str, source: str) -> str:
    """Where the records of one source in one store are."""
    return f"{system}/retention/{store}/{source}/"


def leave(store: ObjectStore, record: RunRecord) -> str:
    """Store the record of a run and return its key."""
    key = timed_key(folder(record.system, record.store, record.source), record.at)
    store.put(key, record.model_dump_json(indent=1).encode(), if_absent=True)
    return key


def last_run(store: ObjectStore, system: str, source: str) -> datetime | None:
    """When retention last ran on a source in this store; None when it never did."""
    found = None
    for version in store.versions(folder(system, store.name, source)):
        name = version.key.rpartition("/")[2]
        try:
            at = datetime.strptime(name[:23], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            continue
        found = at if found is None else max(found, at)
    return found


def time_of(store: ObjectStore, system: str, source: str) -> datetime | None:
    """The store's own clock, from what it says of an object just written; None when it takes none."""
    key = f"{folder(system, store.name, source)}clock"
    try:
        store.put(key, b"what time is it?")
        return store.head(key).modified
    except LifeboatError:
        return None
    finally:
        forget(store, key)
