"""A busy Airflow may lose an answer; a run is started once all the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from include.lab.airflow import AirflowClient
from include.lab.errors import LabError


class Busy(AirflowClient):
    """Answers from a list: an exception is raised, anything else returned."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("http://airflow", "ada", "secret")
        self.answers, self.bodies = list(answers), list[dict[str, Any]]()

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        self.bodies.append(arguments["json"])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


LOST = httpx.ReadTimeout("timed out")
THERE = LabError("Airflow answers 409 to POST dags/x/dagRuns: it is there")


@pytest.mark.parametrize("answers", [({},), (LOST, {}), (LOST, THERE), (LOST, LOST, THERE)])
def test_a_lost_answer_is_asked_for_again_and_makes_no_second_run(answers: Any) -> None:
    client = Busy(*answers)
    run = client.trigger("x", {"a": 1})
    assert {body["dag_run_id"] for body in client.bodies} == {run}
    assert client.answers == []


def test_what_is_no_lost_answer_is_an_error() -> None:
    with pytest.raises(LabError, match="409"):
        Busy(THERE).trigger("x")
    with pytest.raises(LabError, match="404"):
        Busy(LOST, LabError("Airflow answers 404")).trigger("x")
    with pytest.raises(LabError, match="does not answer whether x was started"):
        Busy(LOST, LOST, LOST).trigger("x")
