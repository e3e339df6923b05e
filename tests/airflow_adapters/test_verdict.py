"""The verdict: what makes a run red."""

from __future__ import annotations

import pytest

from recovery_airflow.operators.verdict import judge

GRAPH = ["precheck.inspect__main-db", "back_up.dump__main-db", "announce", "copy"]


def states(**changed: str | None) -> dict[str, str | None]:
    return {**dict.fromkeys([*GRAPH, "verdict"], "success"), "verdict": "running", **changed}


def test_all_success_is_green() -> None:
    assert judge(states(), expected=GRAPH, own="verdict") == {}


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", "removed", "up_for_retry", None])
def test_anything_else_is_red(state: str | None) -> None:
    found = judge(states(announce=state), expected=GRAPH, own="verdict")
    assert found == {"announce": state or "never ran"}


def test_a_task_without_any_state_is_missing() -> None:
    ended = states()
    del ended["back_up.dump__main-db"]
    assert judge(ended, expected=GRAPH, own="verdict") == {"back_up.dump__main-db": "missing"}


def test_only_a_named_task_may_have_had_nothing_to_do() -> None:
    ended = states(copy="skipped")
    assert judge(ended, expected=GRAPH, own="verdict", may_be_skipped=["copy"]) == {}
    assert judge(ended, expected=GRAPH, own="verdict") == {"copy": "skipped"}


def test_each_mapped_copy_counts() -> None:
    ended = states()
    del ended["copy"]
    ended |= {"copy_0": "success", "copy_1": "failed"}
    assert judge(ended, expected=GRAPH, own="verdict", may_be_skipped=["copy"]) == {"copy_1": "failed"}


def test_problems_come_in_the_order_of_the_graph() -> None:
    ended = states(announce="upstream_failed") | {"precheck.inspect__main-db": "failed"}
    assert list(judge(ended, expected=GRAPH, own="verdict")) == ["precheck.inspect__main-db", "announce"]
