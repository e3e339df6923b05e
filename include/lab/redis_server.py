"""The lab's Redis: a Dapr state store with actor snapshots, with one login that copies and one that writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import redis

from include.lab.ports import LOOPBACK
from include.lab.source_connections import SourceSecrets
from include.lab.tls import write_private

APPLICATION = "todo-chatbot"
CHATS, ACTORS = 300, 80


def configuration(folder: Path, port: int, secret: SourceSecrets) -> Path:
    """Write the server's configuration, which holds passwords (mode 600)."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / "redis.conf"
    lines = (
        f"bind {LOOPBACK}",
        f"port {port}",
        f'dir "{folder / "data"}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "user default off",
        f'user backup on ">{secret.redis_backup}" ~* +psync +sync +replconf +info +ping +select +command',
        f'user writer on ">{secret.redis_writer}" ~* &* +@all',
        "",
    )
    write_private(path, "\n".join(lines).encode())
    return path


def client(port: int, secret: SourceSecrets) -> Any:
    """Of the login that writes."""
    return redis.Redis(LOOPBACK, port, username="writer", password=secret.redis_writer, protocol=2)


def fill(port: int, secret: SourceSecrets) -> None:
    """State of chats and snapshots of actors, as Dapr keeps them; nothing when they are there already."""
    with client(port, secret) as session:
        if session.exists("lab:filled"):
            return
        pipe = session.pipeline(transaction=False)
        for number in range(CHATS):
            pipe.hset(
                f"{APPLICATION}||chat-{number}",
                mapping={"data": json.dumps({"user": number % 70, "open": number % 3 == 0}), "version": 1 + number % 5},
            )
        for number in range(ACTORS):
            pipe.hset(
                f"{APPLICATION}||ReminderActor||{number}||snapshot",
                mapping={"data": json.dumps({"next": number * 60, "missed": 0}), "version": 2},
            )
        pipe.set("session:guest", "hello", ex=30 * 86_400)
        pipe.set("lab:filled", "yes")
        pipe.execute()
