"""A folder of policies: good systems go on, whatever the others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.recovery.errors import PolicyError
from include.recovery.policy.files import load_folder, policies_folder

EXAMPLE = (Path(__file__).parents[2] / "policies" / "example.yaml").read_text(encoding="utf-8")
SHIPPED = Path(__file__).parents[3] / "include" / "policies"
PLATFORM = (SHIPPED / "platform.yaml").read_text(encoding="utf-8")


def write(folder: Path, name: str, *, priority: int = 1, extra: str = "") -> None:
    text = EXAMPLE.replace("system: example", f"system: {name}").replace("example_cluster", f"{name}_cluster")
    text = text.replace("priority: 1", f"priority: {priority}\n{extra}")
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "platform.yaml").write_text(PLATFORM, encoding="utf-8")
    return tmp_path


def test_systems_come_in_the_order_of_their_priority(folder: Path) -> None:
    for name, priority in (("a", 3), ("b", 1), ("c", 2)):
        write(folder, name, priority=priority)

    assert list(load_folder(folder).systems) == ["b", "c", "a"]


def test_one_bad_file_leaves_the_others_alone(folder: Path) -> None:
    write(folder, "good")
    write(folder, "bad", priority=0)

    policies = load_folder(folder)

    assert list(policies.systems) == ["good"]
    assert policies.problems == ("bad.yaml:5: priority: found 0; allowed is at least 1",)
    assert policies.alarm == "NO SCHEDULE RUNS for bad: correct these and all is back"
    with pytest.raises(PolicyError, match="found 0"):
        policies.system("bad")


def test_an_unknown_system_is_refused_with_the_known_ones(folder: Path) -> None:
    write(folder, "good")

    with pytest.raises(PolicyError, match="there is no system 'labdjo' in .*; known are good"):
        load_folder(folder).system("labdjo")


def test_a_bad_platform_is_told_and_raised_when_it_is_needed(folder: Path) -> None:
    write(folder, "good")
    (folder / "platform.yaml").write_text(PLATFORM.replace("primary:", "main:"), encoding="utf-8")

    policies = load_folder(folder)

    assert policies.problems == (
        "platform.yaml:3: stores: there is no store 'primary'; backups are written there, so define it",
        "platform.yaml:4: stores.main.replication: is missing; allowed are 'copy' (by Lifeboat) and 'native' "
        "(by the store itself)",
    )
    assert list(policies.systems) == ["good"]
    assert policies.alarm.startswith("EVERY TASK FAILS until platform.yaml is right")
    with pytest.raises(PolicyError, match="no store 'primary'"):
        _ = policies.platform


def test_a_missing_platform_is_told(tmp_path: Path) -> None:
    write(tmp_path, "good")

    assert load_folder(tmp_path).problems == (f"platform.yaml: the file is missing in {tmp_path}; create it",)


def test_an_empty_folder_is_told(folder: Path) -> None:
    assert load_folder(folder).problems == (f"{folder}: there is no policy; add a .yaml file for each system",)


def test_a_file_with_another_suffix_is_not_silently_left_out(folder: Path) -> None:
    write(folder, "good")
    (folder / "other.yml").write_text("", encoding="utf-8")

    assert load_folder(folder).problems == ("other.yml: the file is not read; rename it to other.yaml",)


def test_a_file_that_is_no_text_is_told(folder: Path) -> None:
    (folder / "odd.yaml").write_bytes(b"\xff\xfe\x00")

    (problem,) = load_folder(folder).problems
    assert problem.startswith("odd.yaml: the file cannot be read (")


def test_systems_may_not_wait_for_each_other(folder: Path) -> None:
    write(folder, "a", extra="depends_on: [b]")
    write(folder, "b", extra="depends_on: [c]")
    write(folder, "c", extra="depends_on: [b]")
    write(folder, "d", extra="depends_on: [c]")

    policies = load_folder(folder)

    assert policies.problems == (
        "b.yaml:6: depends_on: systems wait for each other: b -> c -> b; break the circle",
        "c.yaml:6: depends_on: systems wait for each other: c -> b -> c; break the circle",
    )
    assert list(policies.systems) == ["a", "d"]


def test_the_escrow_key_must_be_readable(folder: Path) -> None:
    write(folder, "good")
    text = PLATFORM.replace("kms_key: alias/lifeboat", "kms_key: alias/lifeboat\n  escrow_public_key: escrow.pem")
    (folder / "platform.yaml").write_text(text, encoding="utf-8")

    (problem,) = load_folder(folder).problems
    assert ": encryption.escrow_public_key: found 'escrow.pem', which cannot be read (" in problem

    (folder / "escrow.pem").write_text("-----BEGIN PUBLIC KEY-----\n", encoding="ascii")
    policies = load_folder(folder)
    assert policies.problems == ()
    assert policies.platform.encryption.escrow_public_key_pem(folder) == "-----BEGIN PUBLIC KEY-----\n"


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIFEBOAT_POLICIES", raising=False)
    assert policies_folder() == SHIPPED
    monkeypatch.setenv("LIFEBOAT_POLICIES", str(tmp_path))
    assert policies_folder() == tmp_path
