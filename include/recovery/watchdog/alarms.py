"""Alarms between two passes: each cause is told once, again when it gets worse, and once more when it is over. Pure,
but for ``AlarmBook``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, ValidationError

from include.recovery.catalog.model import Record
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import LifeboatError, ObjectMissing
from include.recovery.stores.port import ObjectStore

Place = tuple[str, str]
"""Where was looked: name of the check, name of the source (empty for what all systems share)."""


@dataclass(frozen=True)
class Finding:
    """A concern, with the check that found it.

    :param source: empty for what all systems share.
    """

    check: str
    source: str
    concern: Concern

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same in the next pass."""
        return self.check, self.source, self.concern.cause


class Alarm(Record):
    """One cause that is on, or over and not yet told.

    :param since: when it was first found.
    :param told: the gravest severity that people were told of; None while nobody was.
    :param over_at: when it was found to be over; None while it is on.
    """

    check: str
    source: str
    cause: str
    severity: int
    sentence: str
    since: AwareDatetime
    told: int | None = None
    over_at: AwareDatetime | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same in the next pass."""
        return self.check, self.source, self.cause

    @property
    def grade(self) -> Severity:
        """How soon somebody has to act."""
        return Severity(self.severity)


class Alarms(Record):
    """All alarms of one system.

    :param system: name of the system, or ``platform``.
    :param at: when this was written.
    :param known: since when the watchdog knows of what.
    """

    schema_version: Literal[1] = 1
    system: str
    at: AwareDatetime
    alarms: tuple[Alarm, ...] = ()
    known: dict[str, AwareDatetime] = Field(default_factory=dict)

    @property
    def on(self) -> tuple[Alarm, ...]:
        """Those that are on, the gravest first."""
        return tuple(sorted(
            (alarm for alarm in self.alarms if alarm.over_at is None), key=lambda alarm: (-alarm.severity, alarm.since)
        ))

    @property
    def news(self) -> tuple[Alarm, ...]:
        """Those that people have to be told of now: new, graver than told, or over. Notes are not told."""
        return tuple(alarm for alarm in self.alarms if _is_news(alarm))

    def knowing(self, what: Iterable[str], now: datetime) -> Alarms:
        """The same, remembering since when each of these is known, and nothing else any more."""
        return self.model_copy(update={"known": {name: self.known.get(name, now) for name in what}})

    def after(
        self,
        found: Iterable[Finding],
        looked: Collection[Place],
        now: datetime,
        *,
        sources: Collection[str] | None = None,
    ) -> Alarms:
        """The alarms after a pass. An alarm ends when its place was looked at and it was not found again.

        :param looked: where the whole of a check could be made.
        :param sources: that there are; alarms of others end. None: all.
        """
        gravest: dict[tuple[str, str, str], Concern] = {}
        for each in found:
            held = gravest.get(each.key)
            if held is None or each.concern.severity > held.severity:
                gravest[each.key] = each.concern
        alarms = []
        for alarm in self.alarms:
            concern = gravest.pop(alarm.key, None)
            gone = sources is not None and alarm.source not in sources
            if concern is not None:
                alarms.append(_still(alarm, concern))
            elif not gone and (alarm.check, alarm.source) not in looked:
                alarms.append(alarm)
            elif alarm.told is not None:
                alarms.append(alarm.model_copy(update={"over_at": alarm.over_at or now}))
        for (check, source, cause), concern in gravest.items():
            alarms.append(Alarm(
                check=check, source=source, cause=cause, severity=int(concern.severity), sentence=concern.sentence,
                since=now,
            ))
        return self.model_copy(update={"alarms": tuple(alarms)})

    def when_told(self, told: Collection[tuple[str, str, str]]) -> Alarms:
        """The same, after people were told of some.

        :param told: keys of alarms.
        """
        alarms = []
        for alarm in self.alarms:
            if alarm.key not in told:
                alarms.append(alarm)
            elif alarm.over_at is None:
                alarms.append(alarm.model_copy(update={"told": alarm.severity}))
        return self.model_copy(update={"alarms": tuple(alarms)})

    def differs(self, other: Alarms) -> bool:
        """Whether it is worth writing: numbers in sentences change with every pass."""
        return self.known != other.known or _kernel(self) != _kernel(other)


class AlarmBook:
    """Where alarms are kept: in several places, so that the loss of one repeats no alarm.

    :param places: stores; the newest of what they have counts.
    """

    def __init__(self, places: Sequence[ObjectStore]) -> None:
        self._places = places

    def read(self, system: str, now: datetime) -> Alarms:
        """The alarms of a system; none when nothing was ever kept, or no place answers."""
        kept = []
        for place in self._places:
            try:
                kept.append(Alarms.model_validate_json(place.get(_key(system))[0]))
            except (ObjectMissing, ValidationError):
                continue
            except LifeboatError:
                # That a store does not answer is an alarm of its own.
                continue
        return max(kept, key=lambda each: each.at, default=Alarms(system=system, at=now))

    def write(self, alarms: Alarms, now: datetime) -> None:
        """Keep the alarms of a system wherever that is possible.

        :raises LifeboatError: when it is possible nowhere: the next pass would tell everything again.
        """
        data = alarms.model_copy(update={"at": now}).model_dump_json(indent=1).encode()
        errors = []
        for place in self._places:
            try:
                place.put(_key(alarms.system), data)
            except LifeboatError as error:
                errors.append(error)
        if errors and len(errors) == len(self._places):
            raise errors[0]


def _is_news(alarm: Alarm) -> bool:
    if alarm.over_at is not None:
        return True
    return alarm.grade > Severity.NOTE and (alarm.told is None or alarm.severity > alarm.told)


def _still(alarm: Alarm, concern: Concern) -> Alarm:
    return alarm.model_copy(update={
        "severity": int(concern.severity), "sentence": concern.sentence, "over_at": None,
    })


def _kernel(alarms: Alarms) -> Mapping[tuple[str, str, str], tuple[object, ...]]:
    return {each.key: (each.severity, each.since, each.told, each.over_at) for each in alarms.alarms}


def _key(system: str) -> str:
    return f"{system}/watchdog/alarms.json"
