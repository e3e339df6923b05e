"""A run that takes longer than it may, on a real Airflow."""

from __future__ import annotations

import pytest

from tests.fixtures.airflow_server import AirflowServer, wait_until
from tests.fixtures.servers import SlackSink

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_a_backup_that_takes_too_long_is_told_once(airflow_server: AirflowServer, slack_sink: SlackSink) -> None:
    run = airflow_server.run("backup__quarry__daily")
    assert run.state == "success", run.tasks()
    page = f"/dags/backup__quarry__daily/runs/{run.run_id}"

    def told() -> list[str]:
        return [str(message.get("text")) for message in slack_sink.messages("takes too long") if page in str(message)]

    wait_until(lambda: bool(told()), 90, lambda: f"{slack_sink.messages()}")
    (message,) = told()
    assert "quarry: backup daily takes too long" in message
    assert "What to do: Open the run" in message
