"""Messages say what the person on duty needs, and never break Slack's limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery import errors, messages

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
URL = "http://127.0.0.1:8080/dags/backup__labdojo__weekly-full/runs/manual"


def failed(**changes: Any) -> messages.Message:
    facts: dict[str, Any] = {
        "system": "LabDojo",
        "what": "backup of main-db",
        "since": NOW - timedelta(hours=2, minutes=5),
        "url": URL,
        "rpo_left": timedelta(minutes=12),
        "error": errors.StoreUnavailable("primary: connection refused"),
        "now": NOW,
    }
    return messages.task_failed(**{**facts, **changes})


def assert_valid(message: messages.Message) -> None:
    """Slack's documented limits of Block Kit."""
    assert message.text
    assert 0 < len(message.blocks) <= 50
    for block in message.blocks:
        match block["type"]:
            case "header":
                assert block["text"]["type"] == "plain_text"
                assert 0 < len(block["text"]["text"]) <= 150
            case "section":
                if "text" in block:
                    assert 0 < len(block["text"]["text"]) <= 3000
                assert len(block.get("fields", [])) <= 10
                assert all(0 < len(field["text"]) <= 2000 for field in block.get("fields", []))
                assert "text" in block or block["fields"]
            case "actions":
                (button,) = block["elements"]
                assert len(button["text"]["text"]) <= 75
                assert button["url"].startswith(("http://", "https://"))
                assert len(button["url"]) <= 3000
            case other:
                pytest.fail(f"unexpected block {other}")


def test_a_failure_says_system_what_since_when_rpo_left_link_and_what_to_do() -> None:
    message = failed()

    assert message.text.splitlines() == [
        "🔴 LabDojo: backup of main-db failed",
        "primary: connection refused",
        "System: LabDojo",
        "Since: 2026-11-21 07:25 UTC (2h5m ago)",
        "RPO: 12m left",
        "What to do: Check the store's endpoint and network. The task tries again by itself.",
        URL,
    ]
    assert_valid(message)
    assert [block["type"] for block in message.blocks] == ["header", "section", "section", "section", "actions"]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (None, "not known"),
        (timedelta(hours=3, minutes=12, seconds=40), "3h12m left"),
        (timedelta(seconds=90), "1m30s left"),
        (timedelta(0), "0s left"),
        (timedelta(minutes=-5), "exceeded by 5m"),
    ],
)
def test_the_rpo_is_in_words(left: timedelta | None, words: str) -> None:
    assert messages.rpo_in_words(left) == words


def test_a_narrower_error_has_its_own_advice() -> None:
    assert "escrow" in messages.what_to_do(errors.KeyDisabled("k"))
    assert "Do not delete" in messages.what_to_do(errors.PartDamaged("p"))
    assert "task's log" in messages.what_to_do(ZeroDivisionError())


def test_every_error_of_the_tree_has_advice() -> None:
    def tree(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    covered = tuple(kind for kind, _ in messages._WHAT_TO_DO)
    ours = {kind for kind in tree(errors.LifeboatError) if kind.__module__ == errors.__name__}
    assert {kind for kind in ours if not issubclass(kind, covered)} == {errors.LifeboatError}


def test_text_from_outside_mentions_nobody_and_formats_nothing() -> None:
    message = messages.notice(system="<!channel> & co", title="<@U1>", facts={"Plan <b>": "<https://evil|click>"})

    fields = [field["text"] for block in message.blocks for field in block.get("fields", [])]
    assert fields == ["*System*\n&lt;!channel&gt; &amp; co", "*Plan &lt;b&gt;*\n&lt;https://evil|click&gt;"]
    assert message.blocks[0]["text"]["type"] == "plain_text"


def test_policy_problems_are_listed_one_a_line() -> None:
    message = messages.policy_problems(["a.yaml:1: x: is missing", "b.yaml:2: y: found 1"])

    assert message.text.startswith("🔴 Policies: 2 problems\n• a.yaml:1: x: is missing\n• b.yaml:2")
    assert_valid(message)


def test_an_approval_shows_the_plan_and_who_may_answer() -> None:
    message = messages.approval_wanted(
        system="LabDojo",
        plan="restore X over Y",
        role="incident_commander",
        people=["ada", "grace"],
        until=NOW,
        url=URL,
    )

    assert "restore X over Y" in message.text
    assert "ada, grace" in message.text
    assert_valid(message)


def test_what_works_again_says_for_how_long_it_did_not() -> None:
    message = messages.task_recovered(
        system="LabDojo", what="backup", failed_since=NOW - timedelta(hours=1), now=NOW, url=URL
    )

    assert "For: 1h" in message.text
    assert_valid(message)


@given(
    system=st.text(min_size=1, max_size=4000),
    error=st.one_of(st.text(max_size=40_000), st.just("&<>\n" * 20_000)),
    url=st.one_of(st.just(URL), st.text(max_size=4000)),
)
def test_whatever_the_facts_slack_takes_the_message(system: str, error: str, url: str) -> None:
    assert_valid(failed(system=system, error=error, url=url))
    assert_valid(
        messages.notice(system=system, title=error, summary=error, facts={system: error}, to_do=error, url=url)
    )


def test_a_long_text_is_cut_between_lines_and_says_so() -> None:
    message = messages.notice(system="S", title="T", summary="\n".join("x" * 99 for _ in range(400)))

    sections = [block["text"]["text"] for block in message.blocks if block["type"] == "section" and "text" in block]
    assert len(sections) == 8
    assert all(line.strip("x") == "" for line in sections[0].splitlines())
    assert sections[-1].endswith("more characters in the log")
