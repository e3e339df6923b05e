"""The last valid policy of a system stays in the store when its file breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.recovery.errors import PolicyError
from include.recovery.policy.files import PolicySet, load_folder
from include.recovery.policy.generate import SHIPPED
from include.recovery.policy.last_valid import as_text, key_of, last_valid, remember_policies
from include.recovery.stores.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore("primary", tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    for path in SHIPPED.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def with_changed(folder: Path, old: str, new: str) -> PolicySet:
    path = folder / "labdojo.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return load_folder(folder)


def test_what_is_remembered_reads_back_equal(store: FolderStore, folder: Path) -> None:
    policies = load_folder(folder)

    assert set(remember_policies(store, policies)) == set(policies.systems)
    for name, system in policies.systems.items():
        assert last_valid(store, name) == system


def test_nothing_is_written_again_while_nothing_changes(store: FolderStore, folder: Path) -> None:
    remember_policies(store, load_folder(folder))
    before = store.head(key_of("labdojo"))

    assert remember_policies(store, load_folder(folder)) == ()
    assert store.head(key_of("labdojo")) == before


def test_a_changed_policy_replaces_the_remembered_one(store: FolderStore, folder: Path) -> None:
    remember_policies(store, load_folder(folder))

    changed = with_changed(folder, "rpo: 15m", "rpo: 20m")

    assert remember_policies(store, changed) == ("labdojo",)
    assert last_valid(store, "labdojo") == changed.system("labdojo")


def test_a_broken_file_leaves_what_was_valid(store: FolderStore, folder: Path) -> None:
    good = load_folder(folder).system("labdojo")
    remember_policies(store, load_folder(folder))

    broken = with_changed(folder, "rpo: 15m", "rpo: soon")

    assert "labdojo" not in broken.systems
    assert remember_policies(store, broken) == ()
    assert last_valid(store, "labdojo") == good


def test_some_systems_can_be_asked_for(store: FolderStore, folder: Path) -> None:
    assert remember_policies(store, load_folder(folder), ["aiaas", "unknown"]) == ("aiaas",)
    assert last_valid(store, "labdojo") is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"system: labdojo\n", "labdojo/policy/last-valid.yaml: title: is missing"),
        (b"a: [", "this is not YAML"),
        (b"\xff", "can't decode"),
    ],
)
def test_an_unreadable_memory_is_one_clear_error(store: FolderStore, data: bytes, problem: str) -> None:
    store.put(key_of("labdojo"), data)

    with pytest.raises(PolicyError, match=problem):
        last_valid(store, "labdojo")


def test_the_text_does_not_depend_on_when_it_is_written(folder: Path) -> None:
    first, second = (as_text(load_folder(folder).system("aiaas")) for _ in range(2))

    assert first == second
    assert first.startswith("# The last valid policy of this system")


def test_null_is_remembered_where_it_means_something_else_than_nothing(store: FolderStore, folder: Path) -> None:
    with_changed(folder, "recovery_point: newest point", "recovery_point: random second")
    changed = with_changed(folder, "{every: 1h, lock_timeout: 200ms, attempts: 5}", "null")
    remember_policies(store, changed)

    found = last_valid(store, "labdojo")

    assert found == changed.system("labdojo")
    assert found is not None
    assert found.source("main-db").physical.restore_points is None
