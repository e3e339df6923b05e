"""A real Prometheus that has blocks of some hours and scrapes itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from include.lab.ports import LOOPBACK
from include.recovery.content import scratch_process

STEP, HOURS = 60, 7


@dataclass
class Server:
    """The server.

    :param options: more words for it.
    """

    folder: Path
    port: int
    options: list[str] = field(default_factory=lambda: ["--web.enable-admin-api"])

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        program = shutil.which("prometheus")
        assert program is not None
        argv = [
            program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.data}",
            f"--web.listen-address={LOOPBACK}:{self.port}", *self.options,
        ]  # fmt: skip
        process = scratch_process.start(self.folder, argv, env={"PATH": os.environ["PATH"], "HOME": str(self.folder)})
        scratch_process.wait_ready(self.folder, process, self._ready)

    def stop(self) -> None:
        scratch_process.end(self.folder, grace=20)

    def ask(self, query: str) -> list[Any]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False)
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def wait_for(self, query: str) -> None:
        end = time.monotonic() + 30
        while not self.ask(query):
            assert time.monotonic() < end, f"no answer to {query}"
            time.sleep(0.05)

    def source(self, **more: Any) -> dict[str, Any]:
        return {"kind": "prometheus", "connection": "depot_prometheus", "data": str(self.data), **more}

    @property
    def connections(self) -> dict[str, Any]:
        return {"depot_prometheus": {"conn_type": "http", "host": LOOPBACK, "port": self.port,
                                     "extra": {"scheme": "http"}}}  # fmt: skip

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        except httpx.HTTPError:
            return False


@pytest.fixture(scope="session")
def old_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of some hours, made by promtool: one gauge of three shops, each sample known."""
    folder = tmp_path_factory.mktemp("old")
    begin = int(time.time()) // 7200 * 7200 - HOURS * 3600
    lines = ["# TYPE orders gauge"]
    for shop in ("harbour", "market", "station"):
        lines += [f'orders{{shop="{shop}"}} {n} {begin + n * STEP}' for n in range(HOURS * 3600 // STEP)]
    (folder / "metrics.txt").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "metrics.txt", "data"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "data"


@pytest.fixture
def prometheus(tmp_path: Path, old_blocks: Path) -> Iterator[Server]:
    """Running, with blocks and samples that are in none yet."""
    folder = tmp_path / "prometheus"
    folder.mkdir()
    server = Server(folder, scratch_process.free_port())
    shutil.copytree(old_blocks, server.data)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms}\n"
        f"scrape_configs: [{{job_name: itself, static_configs: [{{targets: ['{LOOPBACK}:{server.port}']}}]}}]\n"
    )
    try:
        server.start()
        yield server
    finally:
        scratch_process.end(folder, grace=0)
