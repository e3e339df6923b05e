"""A catalog in a folder, a clock that stands still until told, and backups of a few bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.recovery.catalog.catalog import Catalog
from include.recovery.catalog.lease import Owner
from include.recovery.catalog.model import Manifest
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.stores.folder import FolderStore


class Clock:
    """Time as tests want it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 7, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **duration: float) -> None:
        self.at += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore("primary", tmp_path / "primary")


@pytest.fixture
def catalog(store: FolderStore, clock: Clock) -> Catalog:
    return Catalog(store, now=clock)


@pytest.fixture
def keyring(escrow_key: Any) -> Keyring:
    return Keyring([EscrowWrapper(private_key_pem=escrow_key.private_pem)])


@pytest.fixture
def begin(catalog: Catalog, keyring: Keyring) -> Callable[..., Any]:
    def begin(run: str = "run-1", try_number: int = 1, source: str = "main-db", **options: Any) -> Any:
        owner = Owner(run_id=run, try_number=try_number, host="worker-1", pid=7)
        return catalog.begin("labdojo", source, "postgres", owner=owner, keyring=keyring, **options)

    return begin


def fields(clock: Clock, **others: Any) -> dict[str, Any]:
    """What an engine gives to ``commit``."""
    return {
        "started_by": "ada",
        "started_at": clock(),
        "snapshot_at": clock(),
        "server_version": "15.8",
        "tool_versions": {"pg_dump": "15.8"},
        "compression": "zstd-3",
        "fingerprint": None,
    } | others


@pytest.fixture
def back_up(begin: Callable[..., Any], clock: Clock) -> Callable[..., Manifest]:
    """A whole backup; the clock moves on by a minute."""

    def back_up(content: bytes = b"rows", **options: Any) -> Manifest:
        with begin(**options) as backup:
            part = backup.store_part(io.BytesIO(content), "table-0001", "data", ["public.users"])
            manifest = backup.commit(**fields(clock, parts=(part,)))
        clock.pass_by(minutes=1)
        return manifest

    return back_up
