"""One pass of the watchdog over all systems: look, remember, tell. No system's trouble hides another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from include.recovery import messages
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import LifeboatError, StoreUnavailable
from include.recovery.evidence.words import listed, plural
from include.recovery.messages import Message
from include.recovery.policy.models import ProtectedSystem
from include.recovery.watchdog import drills, late_backups
from include.recovery.watchdog.alarms import Alarm, AlarmBook, Alarms, Finding, Place
from include.recovery.watchdog.checks import CHECKS, PLATFORM_CHECKS, Check
from include.recovery.watchdog.look import Look, Subject, ToldElsewhere

PLATFORM = "platform"
"""Stands for what all systems share; no system can be called so."""
_AT_ONCE = 8

Tell = Callable[[Message], bool]
"""Sends a message; False when it did not go."""


@dataclass(frozen=True)
class Watched:
    """What a pass made of one system.

    :param told: alarms that people were told of in this pass.
    :param untold: those that could not be told; the next pass tries again.
    """

    alarms: Alarms
    told: tuple[Alarm, ...] = ()
    untold: tuple[Alarm, ...] = ()


@dataclass(frozen=True)
class Pass:
    """One pass.

    :param problems: of the pass itself, each a sentence.
    """

    systems: tuple[Watched, ...]
    problems: tuple[str, ...] = ()

    @property
    def on(self) -> tuple[Alarm, ...]:
        """All alarms that are on."""
        return tuple(alarm for each in self.systems for alarm in each.alarms.on)

    @property
    def in_words(self) -> str:
        """One line for people."""
        told = sum(len(each.told) for each in self.systems)
        grave = sum(1 for alarm in self.on if alarm.grade is Severity.CRITICAL)
        looked = sum(1 for each in self.systems if each.alarms.system != PLATFORM)
        on = f"{plural(len(self.on), 'alarm')} on, {grave} of them critical" if self.on else "nothing is wrong"
        return f"{plural(looked, 'system')} looked at: {on}; {plural(told, 'message')} sent"


def watch(
    look: Look, book: AlarmBook, tell: Tell, *, url: str = "", checks: Sequence[Check] = CHECKS
) -> Pass:
    """One pass.

    :param book: where alarms are kept.
    :param url: of the page to look at, for the messages.
    """
    now = look.now
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="watchdog") as pool:
        seen = list(pool.map(lambda system: examine(look, system, book.read(system.system, now), checks), look.systems))
    seen.insert(0, _platform(look, book.read(PLATFORM, now)))
    watched, problems = [], []
    for before, after in seen:
        told, untold = _tell(after, tell, now, url)
        kept = after.when_told({alarm.key for alarm in told})
        if kept.differs(before):
            try:
                book.write(kept, now)
            except LifeboatError as error:
                problems.append(f"the alarms of {after.system} cannot be kept, so they will be told again: {error}")
        watched.append(Watched(kept, told, untold))
    if untold_all := [alarm for each in watched for alarm in each.untold]:
        problems.append(
            f"{plural(len(untold_all), 'message')} did not reach anybody: "
            f"{listed([alarm.sentence for alarm in untold_all], most=3)}"
        )
    return Pass(tuple(watched), tuple(problems))


def examine(
    look: Look, system: ProtectedSystem, before: Alarms, checks: Sequence[Check] = CHECKS
) -> tuple[Alarms, Alarms]:
    """A system's alarms before and after a look at all of its sources. Raises nothing."""
    now = look.now
    after = before.knowing(_to_know(system), now)
    found: list[Finding] = []
    looked: set[Place] = set()
    for source in system.sources:
        subject = Subject(look, system, source, after.known)
        for check in checks:
            concerns, whole = _make(check, subject)
            found += [Finding(check.name, source.name, concern) for concern in concerns]
            if whole:
                looked.add((check.name, source.name))
    sources = {source.name for source in system.sources}
    return before, after.after(found, looked, now, sources=sources)


def _make(check: Check, subject: Subject) -> tuple[list[Concern], bool]:
    """What a check has found, and whether all of it could be made."""
    concerns: list[Concern] = []
    try:
        # What was found before it could not go on counts.
        concerns.extend(check.look(subject))
    except ToldElsewhere:
        return concerns, False
    except LifeboatError as error:
        down = any(isinstance(seen, LifeboatError) for seen in subject.look.stores.values())
        if not (down and isinstance(error, StoreUnavailable)):
            concerns.append(_unseen(check, subject, str(error)))
        return concerns, False
    except Exception as error:  # one check's fault must not keep the others from looking
        concerns.append(_unseen(check, subject, f"{type(error).__name__}: {error}; tell the developers"))
        return concerns, False
    return concerns, True


def _unseen(check: Check, subject: Subject, why: str) -> Concern:
    return Concern(Severity.CRITICAL, "not seen", f"{subject.name}: {check.about} cannot be looked at: {why}")


def _platform(look: Look, before: Alarms) -> tuple[Alarms, Alarms]:
    found = [Finding(name, "", concern) for name, check in PLATFORM_CHECKS for concern in check(look)]
    return before, before.after(found, {(name, "") for name, _ in PLATFORM_CHECKS}, look.now)


def _to_know(system: ProtectedSystem) -> Iterator[str]:
    """What the watchdog has to know since when: schedules, by their text."""
    yield "source"
    for tier in system.tiers:
        yield late_backups.known_as(tier, system.time_zone)
    for name, drill in system.drills.items():
        yield drills.known_as(name, drill, system.time_zone)


def _tell(alarms: Alarms, tell: Tell, now: datetime, url: str) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    told: list[Alarm] = []
    untold: list[Alarm] = []
    for alarm in alarms.news:
        (told if tell(_message(alarms.system, alarm, now, url)) else untold).append(alarm)
    return tuple(told), tuple(untold)


def _message(system: str, alarm: Alarm, now: datetime, url: str) -> Message:
    if alarm.over_at is not None:
        return messages.alarm_over(
            system=system, cause=alarm.cause, sentence=alarm.sentence, since=alarm.since, over_at=alarm.over_at, url=url
        )
    return messages.alarm(
        system=system, cause=alarm.cause, severity=alarm.grade.name.lower(), sentence=alarm.sentence,
        since=alarm.since, now=now, worse=alarm.told is not None, url=url,
    )


def examine_all(look: Look, book: AlarmBook) -> Iterable[tuple[Alarms, Alarms]]:
    """What a pass would find now; nothing is told, and nothing is kept."""
    yield _platform(look, book.read(PLATFORM, look.now))
    for system in look.systems:
        yield examine(look, system, book.read(system.system, look.now))
