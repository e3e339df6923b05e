"""Each cause is told once, once more when it gets worse, and once when it is over; whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.concerns import Concern, Severity
from include.recovery.errors import StoreUnavailable
from include.recovery.stores.folder import FolderStore
from include.recovery.watchdog.alarms import AlarmBook, Alarms, Finding

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HERE = {("primary", "main-db")}
CAUSES = ("archive_command", "disk of pg_wal", "slot standby1")


def finding(cause: str = "archive_command", severity: Severity = Severity.WARNING, words: str = "it fails") -> Finding:
    return Finding("primary", "main-db", Concern(severity, cause, words))


def empty() -> Alarms:
    return Alarms(system="labdojo", at=NOW)


def keys(alarms: Alarms) -> set[tuple[str, str, str]]:
    return {alarm.key for alarm in alarms.news}


def test_a_cause_is_told_once_however_its_words_change() -> None:
    alarms = empty().after([finding()], HERE, NOW)
    assert [alarm.sentence for alarm in alarms.news] == ["it fails"]
    alarms = alarms.when_told(keys(alarms))
    assert alarms.news == ()
    later = alarms.after([finding(words="it fails for 5 min")], HERE, NOW + timedelta(minutes=5))
    assert later.news == ()
    assert (later.on[0].since, later.on[0].sentence) == (NOW, "it fails for 5 min")
    assert not later.differs(alarms), "nothing that is worth writing"


def test_one_that_gets_worse_is_told_again_once() -> None:
    alarms = empty().after([finding()], HERE, NOW)
    alarms = alarms.when_told(keys(alarms)).after([finding(severity=Severity.CRITICAL)], HERE, NOW)
    assert len(alarms.news) == 1
    alarms = alarms.when_told(keys(alarms)).after([finding(severity=Severity.WARNING)], HERE, NOW)
    assert alarms.news == ()
    assert alarms.after([finding(severity=Severity.CRITICAL)], HERE, NOW).news == ()


def test_all_clear_only_when_somebody_has_looked() -> None:
    alarms = empty().after([finding()], HERE, NOW)
    alarms = alarms.when_told(keys(alarms))
    blind = alarms.after([], set(), NOW + timedelta(minutes=5))
    assert blind.news == ()
    assert len(blind.on) == 1
    over = blind.after([], HERE, NOW + timedelta(minutes=10))
    assert over.news[0].over_at == NOW + timedelta(minutes=10)
    assert over.on == ()
    undelivered = over.after([], HERE, NOW + timedelta(minutes=15))
    assert undelivered.news[0].over_at == NOW + timedelta(minutes=10), "it is told later, with its own time"
    assert over.when_told(keys(over)).alarms == ()


def test_what_nobody_was_told_of_ends_in_silence_and_notes_are_never_told() -> None:
    alarms = empty().after([finding(), finding("slot x", Severity.NOTE)], HERE, NOW)
    assert [alarm.cause for alarm in alarms.news] == ["archive_command"]
    assert alarms.after([], HERE, NOW).alarms == ()


def test_the_alarms_of_a_source_that_is_gone_end() -> None:
    alarms = empty().after([finding()], HERE, NOW)
    alarms = alarms.when_told(keys(alarms))
    assert alarms.after([], set(), NOW, sources={"other-db"}).news[0].over_at == NOW


def test_one_alarm_for_each_cause_with_the_gravest_of_its_sentences() -> None:
    found = [finding(), finding(severity=Severity.CRITICAL, words="grave"), finding(words="light")]
    alarms = empty().after(found, HERE, NOW)
    assert [(alarm.grade, alarm.sentence) for alarm in alarms.on] == [(Severity.CRITICAL, "grave")]


passes = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(CAUSES), st.sampled_from([Severity.WARNING, Severity.CRITICAL])),
        st.booleans(),  # whether the check could look
        st.booleans(),  # whether Slack takes messages
    ),
    max_size=30,
)


@given(passes)
def test_any_history_is_told_as_it_was(history: list[tuple[dict[str, Severity], bool, bool]]) -> None:
    """People who keep the messages know what is on; none comes twice in a row; with Slack up, none is missing."""
    alarms, belief = empty(), dict[str, int]()
    truth: dict[str, Severity] = {}
    for number, (found, looked, up) in enumerate(history):
        now = NOW + timedelta(minutes=5 * number)
        seen = found if looked else {}
        truth = found if looked else truth
        alarms = alarms.after([finding(c, s) for c, s in seen.items()], HERE if looked else set(), now)
        for alarm in alarms.news if up else ():
            if alarm.over_at is not None:
                assert alarm.cause in belief, "an all clear of what nobody was told of"
                del belief[alarm.cause]
            else:
                assert alarm.severity > belief.get(alarm.cause, 0), "told twice"
                belief[alarm.cause] = alarm.severity
        if up:
            alarms = alarms.when_told(keys(alarms))
            assert alarms.news == ()
            assert set(belief) == set(truth)
            assert all(belief[cause] >= severity for cause, severity in truth.items())
        assert {alarm.cause for alarm in alarms.on} == set(truth)


class Down(FolderStore):
    """A store that does not answer."""

    def get(self, key: str, version: str | None = None) -> tuple[bytes, str]:
        raise StoreUnavailable("down")

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        raise StoreUnavailable("down")


def test_the_loss_of_a_place_repeats_no_alarm(tmp_path: Path) -> None:
    first, second = FolderStore("primary", tmp_path / "a"), FolderStore("worker", tmp_path / "b")
    alarms = empty().after([finding()], HERE, NOW).when_told({finding().key})
    AlarmBook([first, second]).write(alarms, NOW)
    assert AlarmBook([Down("primary", tmp_path), second]).read("labdojo", NOW).alarms == alarms.alarms
    # While the first is down, the second goes on; then the newer counts, not the first.
    AlarmBook([Down("primary", tmp_path), second]).write(empty(), NOW + timedelta(minutes=5))
    assert AlarmBook([first, second]).read("labdojo", NOW).alarms == ()
    assert AlarmBook([first]).read("labdojo", NOW).alarms == alarms.alarms
    with pytest.raises(StoreUnavailable):
        AlarmBook([Down("primary", tmp_path)]).write(alarms, NOW)
    assert AlarmBook([Down("primary", tmp_path)]).read("labdojo", NOW) == empty()
