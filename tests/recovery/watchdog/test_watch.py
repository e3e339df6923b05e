"""One pass: every cause once, all clear at its end, and no trouble of one thing hides another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.archive_proofs import ArchiveProof, ArchiveProofs, found
from include.recovery.concerns import Concern, Severity
from include.recovery.errors import LifeboatError, SourceUnavailable, StoreUnavailable
from include.recovery.messages import Message
from include.recovery.stores.folder import FolderStore
from include.recovery.watchdog.alarms import AlarmBook
from include.recovery.watchdog.checks import CHECKS, Check
from include.recovery.watchdog.look import Look, Subject
from include.recovery.watchdog.watch import Pass, watch

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)
Result = Concern | Exception


@dataclass
class Watchdog:
    """Passes in a row, with checks that find what the test says."""

    workspace: Any
    book: AlarmBook
    now: datetime = NOW
    slack: bool = True
    sent: list[str] = field(default_factory=list)
    finds: dict[str, list[Result]] = field(default_factory=dict)

    def tell(self, message: Message) -> bool:
        if self.slack:
            self.sent.append(message.text)
        return self.slack

    def look(self, name: str) -> Callable[[Subject], Iterator[Concern]]:
        def check(_: Subject) -> Iterator[Concern]:
            for each in self.finds.get(name, ()):
                if isinstance(each, Exception):
                    raise each
                yield each

        return check

    def once(self, **stores: LifeboatError) -> Pass:
        self.sent.clear()
        self.now += FIVE
        checks = [Check(name, f"the {name}", self.look(name)) for name in ("one", "two")]
        look = Look.around(self.workspace, self.now)
        return watch(replace(look, stores={**look.stores, **stores}), self.book, self.tell, checks=checks)


@pytest.fixture
def dog(folder_workspace: Any, tmp_path: Path) -> Watchdog:
    return Watchdog(
        folder_workspace, AlarmBook([folder_workspace.store("primary"), FolderStore("worker", tmp_path / "worker")])
    )


FAILS = Concern(
    Severity.CRITICAL, "archive_command", "labdojo/main-db: archive_command fails for 11 min; see pgBackRest's log"
)


@pytest.mark.demand("L26")
def test_a_cause_is_told_once_and_its_end(dog: Watchdog) -> None:
    dog.finds["one"] = [FAILS]
    dog.once()
    assert dog.sent == [
        "🔴 labdojo: archive_command\nlabdojo/main-db: archive_command fails for 11 min\nSystem: labdojo\n"
        "Severity: critical\nSince: 2026-11-21 12:05 UTC (0s ago)\nWhat to do: See pgBackRest's log."
    ]
    for _ in range(3):
        assert dog.once().on[0].cause == "archive_command"
        assert dog.sent == []
    dog.finds.clear()
    assert dog.once().on == ()
    (clear,) = dog.sent
    assert clear.startswith("🟢 labdojo: archive_command: all clear\nIt was: labdojo/main-db: archive_command fails")
    assert "For: 20m" in clear
    dog.once()
    assert dog.sent == []


def test_a_slack_outage_delays_messages_and_loses_none(dog: Watchdog) -> None:
    dog.finds["one"], dog.slack = [FAILS], False
    done = dog.once()
    assert done.problems == (f"1 message did not reach anybody: {FAILS.sentence}",)
    dog.slack = True
    assert dog.once().problems == ()
    assert "Since: 2026-11-21 12:05 UTC (5m ago)" in dog.sent[0]


def test_what_cannot_be_looked_at_is_an_alarm_and_ends_none(dog: Watchdog) -> None:
    dog.finds["one"] = [FAILS]
    dog.once()
    dog.finds["one"] = [SourceUnavailable("the server cannot be reached; see whether it runs")]
    dog.finds["two"] = [Concern(Severity.WARNING, "drill weekly", "overdue; trigger it")]
    assert {alarm.cause for alarm in dog.once().on} == {"archive_command", "not seen", "drill weekly"}
    assert len(dog.sent) == 2
    assert any("labdojo/main-db: the one cannot be looked at: the server cannot be" in each for each in dog.sent)
    dog.finds["one"] = []
    assert {alarm.cause for alarm in dog.once().on} == {"drill weekly"}
    assert all("all clear" in each for each in dog.sent)
    assert len(dog.sent) == 2


def test_a_fault_of_a_check_keeps_no_other_from_looking(dog: Watchdog) -> None:
    other = Concern(Severity.WARNING, "x", "found before it broke; y")
    dog.finds = {"one": [other, ZeroDivisionError("oops")], "two": [FAILS]}
    assert {alarm.cause for alarm in dog.once().on} == {"x", "not seen", "archive_command"}


def test_a_store_that_is_down_is_one_alarm_and_not_one_for_each_system(dog: Watchdog) -> None:
    done = dog.once(offsite=StoreUnavailable("store offsite does not answer"))
    assert [alarm.cause for alarm in done.on] == ["store offsite"]
    assert dog.sent[0].startswith("🔴 platform: store offsite")
    assert dog.once().on == ()
    assert "all clear" in dog.sent[0]


def test_a_store_that_a_check_misses_too_is_still_one_alarm(dog: Watchdog) -> None:
    dog.finds["one"] = [StoreUnavailable("store primary does not answer")]
    assert [alarm.cause for alarm in dog.once(primary=StoreUnavailable("it does not answer")).on] == ["store primary"]
    assert {alarm.cause for alarm in dog.once().on} == {"not seen"}, "the store is back, and the check is still blind"


def test_a_broken_policy_is_told_and_its_promises_are_still_watched(dog: Watchdog, tmp_path: Path) -> None:
    from include.recovery.policy.files import load_folder
    from include.recovery.policy.last_valid import remember_policies

    remember_policies(dog.workspace.store("primary"), dog.workspace.policies)
    path = tmp_path / "policies" / "labdojo.yaml"
    path.write_text(path.read_text().replace("time_zone: Europe/Berlin", "time_zone: Mars/Olympus"))
    dog.workspace.policies = load_folder(tmp_path / "policies")
    dog.finds["one"] = [FAILS]
    done = dog.once()
    assert {alarm.cause for alarm in done.on} == {"policy labdojo", "archive_command"}
    assert any("its schedules stand still" in each and "Mars/Olympus" in each for each in dog.sent)


def test_every_real_check_has_a_name_of_its_own_and_no_server_is_no_silence(dog: Watchdog) -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    look = Look.around(dog.workspace, NOW)
    done = watch(look, dog.book, dog.tell)
    assert {alarm.cause for alarm in done.on} == {"not seen"}
    assert all("labdojo/main-db: the primary's WAL, disk and slots cannot be looked at" in each for each in dog.sent)


def test_what_was_found_in_the_archive_is_told_once_whoever_found_it(dog: Watchdog) -> None:
    from include.recovery.watchdog.archive import archive

    system = dog.workspace.system("labdojo")
    gap = found((Concern(Severity.CRITICAL, "wal missing", "segment 5 is missing; take a full backup"),))
    proofs = ArchiveProofs(dog.workspace.store("primary"))
    for by in ("replay", "check"):
        proofs.keep(ArchiveProof(
            system="labdojo", source="main-db", store="primary", by=by, at=NOW, found=gap,  # type: ignore[arg-type]
        ))
    look, known = Look.around(dog.workspace, NOW), {"source": NOW - timedelta(days=2)}
    causes = [each.cause for each in archive(Subject(look, system, system.sources[0], known))]
    assert causes == ["wal missing in primary", "wal_archive__labdojo", "wal missing in primary"]
    later = replace(look, now=NOW + timedelta(minutes=16), _asked={})
    causes = [each.cause for each in archive(Subject(later, system, system.sources[0], known))]
    assert "replay_proof__labdojo" in causes, "three looks are missing"
