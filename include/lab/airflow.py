"""Airflow in the lab: its four components, one by one, on its own PostgreSQL, reachable from this machine only."""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from include.lab.credentials import AIRFLOW_USERS, LabSecrets
from include.lab.errors import LabError
from include.lab.ports import LOOPBACK, wait_for
from include.lab.processes import Registry
from include.lab.tls import write_private
from include.recovery.policy.files import load_folder
from include.recovery.policy.pools import pools

DATABASE = ROLE = "airflow"
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "airflow-api-server": ("api-server", "--host", LOOPBACK, "--workers", "1"),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs", "--capacity", "100"),
}
_START_SECONDS = 120
_ASKED = 3
_PRELOAD = '''"""Imports what every task needs before the scheduler forks its workers: so tasks start quickly.

Only for the lab, which starts Airflow again when the code has changed.
"""

import sys

if "scheduler" in sys.argv:
    import boto3.session
    import slack_sdk.webhook.async_client
    import slack_sdk.webhook.client

    import include.recovery.runbook.planning
    import include.recovery.sources.pgbackrest
    import include.recovery.sources.postgres
    import include.recovery.workspace

__all__ = ()
'''


@dataclass(frozen=True)
class AirflowLab:
    """One Airflow.

    :param home: ``AIRFLOW_HOME``: configuration, logs, passwords.
    :param project: the tree with ``dags``, ``plugins`` and ``include``.
    :param database_port: of its metadata database on loopback.
    :param environment: more variables for all components.
    :param programs: a folder of programs that comes first on PATH.
    """

    home: Path
    project: Path
    port: int
    database_port: int
    connections: Path
    registry: Registry
    secret: LabSecrets = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: Path | None = None

    @property
    def url(self) -> str:
        """Address of the web UI."""
        return f"http://{LOOPBACK}:{self.port}"

    def configure(self) -> None:
        """Write the configuration and the users' passwords; both hold secrets (mode 600)."""
        self.home.mkdir(parents=True, exist_ok=True)
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_dict(self._settings())
        text = io.StringIO()
        parser.write(text)
        write_private(self.home / "airflow.cfg", text.getvalue().encode())
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "airflow_local_settings.py").write_text(_PRELOAD, encoding="utf-8")
        write_private(self.home / "passwords.json", json.dumps(dict(self.secret.users)).encode())

    def migrate(self) -> None:
        """Make or update the metadata database."""
        self._airflow("db", "migrate")

    def start(self) -> None:
        """Start the components that do not run, and make the pools that the DAGs name.

        :raises LabError: when not all four components report a heartbeat in time.
        """
        for name, words in COMPONENTS.items():
            argv = [sys.executable, "-m", "airflow", *words]
            self.registry.start(name, argv, env=self.variables(), cwd=self.home)
        wait_for(
            "Airflow",
            self.healthy,
            seconds=_START_SECONDS,
            alive=lambda: all(self.registry.alive(name) for name in COMPONENTS),
            log=f"{self.registry.logs}/airflow-*.log",
        )
        self._make_pools()

    def stop(self) -> None:
        """Stop the components, in the opposite order."""
        for name in reversed(list(COMPONENTS)):
            self.registry.stop(name, seconds=30)

    def is_current(self) -> bool:
        """Whether what was last started had this very configuration and code (DAG files are read afresh anyway)."""
        return self._stamp.exists() and self._stamp.read_text(encoding="ascii") == self._digest()

    def remember(self) -> None:
        """Note the configuration and code that are running now."""
        self._stamp.write_text(self._digest(), encoding="ascii")

    @property
    def _stamp(self) -> Path:
        return self.home / "started"

    def _digest(self) -> str:
        digest = hashlib.sha256((self.home / "airflow.cfg").read_bytes())
        for folder in ("include", "plugins"):
            for path in sorted((self.project / folder).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    digest.update(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}\n".encode())
        return digest.hexdigest()

    def healthy(self) -> bool:
        """Whether all four components report a heartbeat."""
        try:
            answer = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5)
            health = answer.json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return answer.is_success and all(health.get(part, {}).get("status") == "healthy" for part in parts)

    def variables(self) -> dict[str, str]:
        """The environment of all components and of every task."""
        first = [str(self.programs)] if self.programs else []
        return {
            "PATH": ":".join([*first, str(Path(sys.executable).parent), os.environ.get("PATH", "/usr/bin:/bin")]),
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "AIRFLOW_HOME": str(self.home),
            "PYTHONPATH": str(self.project),
            "PYTHONPYCACHEPREFIX": str(self.home / "pycache"),
            "LIFEBOAT_CONNECTIONS": str(self.connections),
            **self.environment,
        }

    def _settings(self) -> dict[str, dict[str, Any]]:
        login = f"{ROLE}:{quote(self.secret.airflow_database, safe='')}"
        backend = {"connections_file_path": str(self.connections)}
        return {
            "core": {
                "dags_folder": self.project / "dags",
                "plugins_folder": self.project / "plugins",
                "executor": "LocalExecutor",
                "parallelism": 8,
                "max_active_tasks_per_dag": 8,
                "load_examples": False,
                "fernet_key": self.secret.fernet_key,
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in AIRFLOW_USERS.items()),
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "simple_auth_manager_all_admins": False,
                "default_timezone": "utc",
            },
            "database": {
                "sql_alchemy_conn": f"postgresql+psycopg2://{login}@{LOOPBACK}:{self.database_port}/{DATABASE}",
                "sql_alchemy_pool_size": 5,
                "load_default_connections": False,
            },
            "secrets": {
                "backend": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
                "backend_kwargs": json.dumps(backend),
            },
            "logging": {
                "base_log_folder": self.home / "logs",
                "dag_processor_child_process_log_directory": self.home / "logs/dag_processor",
            },
            "api": {
                "base_url": self.url,
                "host": LOOPBACK,
                "port": self.port,
                "workers": 1,
                "secret_key": self.secret.session_secret,
                "expose_config": False,
            },
            "api_auth": {"jwt_secret": self.secret.jwt_secret},
            "scheduler": {
                "task_instance_heartbeat_timeout": 30,
                "task_instance_heartbeat_timeout_detection_interval": 5,
                "orphaned_tasks_check_interval": 30,
                "scheduler_heartbeat_sec": 2,
            },
            "workers": {"min_heartbeat_interval": 5, "max_failed_heartbeats": 3},
            "dag_processor": {
                "refresh_interval": 15,
                "bundle_refresh_check_interval": 5,
                "min_file_process_interval": 60,
                "parsing_processes": 2,
                "print_stats_interval": 0,
            },
            "usage_data_collection": {"enabled": False},
        }

    def _make_pools(self) -> None:
        named = self.environment.get("LIFEBOAT_POLICIES")
        policies = load_folder(Path(named) if named else self.project / "include" / "policies")
        admin = next(user for user, role in AIRFLOW_USERS.items() if role == "admin")
        with closing(AirflowClient(self.url, admin, self.secret.users[admin])) as client:
            present = {pool["name"] for pool in client.call("GET", "pools", params={"limit": 1000})["pools"]}
            for name, pool in pools(policies).items():
                if name not in present:
                    client.call("POST", "pools", json={"name": name, **pool})

    def _airflow(self, *words: str) -> str:
        """Run an ``airflow`` command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=self.variables(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"airflow {' '.join(words[:2])} ended with {done.returncode}: {done.stderr.strip()[-800:]}")
        return done.stdout


@dataclass
class AirflowClient:
    """Airflow's REST API as one user.

    :param url: of the API server.
    """

    url: str
    user: str
    password: str = field(repr=False)
    _client: httpx.Client | None = field(default=None, init=False, repr=False)

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """One request; logs in when there is no token yet, or it has run out.

        :raises LabError: with what the API said.
        """
        if self._client is None:
            self._log_in()
        assert self._client is not None
        answer = self._client.request(method, f"/api/v2/{path}", **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._client.request(method, f"/api/v2/{path}", **arguments)
        if not answer.is_success:
            raise LabError(f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:400]}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def close(self) -> None:
        """End the connection; the next call opens it again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def dag_ids(self) -> set[str]:
        """All DAGs that are parsed and not stale."""
        found = self.call("GET", "dags", params={"limit": 500})
        return {dag["dag_id"] for dag in found["dags"]}

    def import_errors(self) -> list[str]:
        """What could not be imported, one text each."""
        found = self.call("GET", "importErrors", params={"limit": 50})
        return [f"{error['filename']}: {error['stack_trace']}" for error in found["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, note: str | None = None) -> str:
        """Start a run and return its id. An answer that a busy Airflow has lost is asked for again: it is one run."""
        run = f"manual__{datetime.now(UTC).isoformat()}-{secrets.token_hex(2)}"
        body = {"logical_date": None, "dag_run_id": run, "conf": dict(conf or {}), "note": note}
        for left in reversed(range(_ASKED)):
            try:
                self.call("POST", f"dags/{dag_id}/dagRuns", json=body)
            except httpx.TimeoutException as error:
                if not left:
                    raise LabError(f"Airflow does not answer whether {dag_id} was started; try again later") from error
                continue
            except LabError as error:
                if left == _ASKED - 1 or "answers 409" not in str(error):
                    raise
            return run
        raise AssertionError

    def runs(self, dag_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """The newest runs of a DAG, newest first."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns", params={"limit": limit, "order_by": "-run_after"})
        runs: list[dict[str, Any]] = found["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances", params={"limit": 200})
        instances: list[dict[str, Any]] = found["task_instances"]
        return instances

    def _log_in(self) -> None:
        client = self._client or httpx.Client(base_url=self.url, timeout=30)
        deadline = time.monotonic() + 20
        while True:
            answer = client.post("/auth/token", json={"username": self.user, "password": self.password})
            if answer.is_success:
                break
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR or time.monotonic() > deadline:
                raise LabError(f"Airflow refuses to log {self.user} in: {answer.status_code} {answer.text[:200]}")
            time.sleep(1)
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._client = client
