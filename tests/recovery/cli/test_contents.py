"""The command line over sources that are backed up item by item: a real folder, real stores in folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from include.recovery.cli.app import app
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from tests.fixtures.content import SYSTEM, ContentPlace
from tests.recovery.conftest import EscrowKey


@pytest.fixture(scope="session")
def content_keyring(escrow_key: EscrowKey) -> Keyring:
    return Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])


class Desk:
    """The folder that is protected, and the command line."""

    def __init__(self, place: ContentPlace, folder: Path, key: Path) -> None:
        self.place, self.folder, self.key = place, folder, key

    def run(self, *words: str, expect: int = 0) -> Result:
        where = ["--policies", str(self.place.directory / "policies"), "--key", str(self.key),
                 "--connections", str(self.place.directory / "connections.json")]  # fmt: skip
        result = CliRunner().invoke(app, [*where, *words], env={"COLUMNS": "200"})
        said = result.stdout + result.stderr
        assert result.exit_code == expect, said
        return result


@pytest.fixture
def desk(content_place: Callable[..., ContentPlace], tmp_path: Path, escrow_key: EscrowKey) -> Desk:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "app.conf").write_text("workers = 4\n")
    (folder / "tls.pem").write_text("a certificate")
    key = tmp_path / "escrow.pem"
    key.write_text(escrow_key.private_pem)
    return Desk(content_place({"kind": "files", "name": "config", "paths": [str(folder)]}), folder, key)


def test_from_a_backup_to_a_copy_that_is_compared(desk: Desk, tmp_path: Path) -> None:
    made = desk.place.back_up()
    listed = desk.run("list", SYSTEM)
    assert made.manifest.id in listed.stdout
    assert "items" in listed.stdout
    assert f"{made.manifest.items} items" in desk.run("show", SYSTEM).stdout
    copy = tmp_path / "copy"
    said = desk.run("restore", SYSTEM, "--into", str(copy))
    assert "identical" in said.stdout + said.stderr
    assert next(copy.rglob("app.conf")).read_text() == "workers = 4\n"
    refused = desk.run("restore", SYSTEM, "--into", str(copy), expect=4)
    assert "is not empty" in refused.stderr
    assert "name its folder with --into" in desk.run("restore", SYSTEM, expect=2).stderr
    proven = desk.run("verify", SYSTEM, "--restore")
    assert "identical" in proven.stdout + proven.stderr


def test_putting_back_shows_what_would_change_and_wants_leave_by_name(desk: Desk) -> None:
    desk.place.back_up()
    nothing = desk.run("put-back", SYSTEM)
    assert "nothing would change" in nothing.stdout + nothing.stderr
    (desk.folder / "app.conf").write_text("workers = 400\n")
    (desk.folder / "tls.pem").unlink()
    (desk.folder / "stray").write_text("new")
    shown = desk.run("put-back", SYSTEM)
    said = shown.stdout + shown.stderr
    assert all(word in said for word in ("app.conf", "becomes what it was", "comes back", "goes away"))
    assert (desk.folder / "app.conf").read_text() == "workers = 400\n", "a preview has changed something"
    refused = desk.run("put-back", SYSTEM, "--leave", "other/config", expect=4)
    assert "needs leave for just that" in refused.stderr
    done = desk.run("put-back", SYSTEM, "--leave", f"{SYSTEM}/config", "--json")
    aside = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])["aside"]
    assert (desk.folder / "app.conf").read_text() == "workers = 4\n"
    assert (desk.folder / "tls.pem").read_text() == "a certificate"
    assert not (desk.folder / "stray").exists()
    assert aside
    kept = list(desk.folder.parent.rglob("stray"))
    assert kept, "what was there before is lost"
