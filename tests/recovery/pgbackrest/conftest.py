"""What pgBackRest 2.45 says, cut down to what matters; and archives in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from include.recovery.pgbackrest.info import StanzaInfo, parse_info
from include.recovery.pgbackrest.segments import Segment
from include.recovery.pgbackrest.wal import Archive, Stored, archive_of

START = datetime(2026, 11, 21, 7, tzinfo=UTC)
SYSTEM = "7710618046853830516"
SHA = "7fda2c155fc6a640de737ad039a70d9f51c5a08e"
OTHER_SHA = "a6332739c6fac308933f3bc7669c18d4f739cf08"


def backup_json(
    label: str, *, minute: int, wal: tuple[str, str], prior: str | None = None, reference: list[str] | None = None,
    repository: int = 1, **more: Any,
) -> dict[str, Any]:
    stopped = START + timedelta(minutes=minute)
    kinds = {"F": "full", "D": "diff", "I": "incr"}
    stop = Segment(1, int(wal[1][8:16], 16) * 256 + int(wal[1][16:], 16))
    return {
        "annotation": {"run": "r"},
        "archive": {"start": wal[0], "stop": wal[1]},
        "backrest": {"format": 5, "version": "2.45"},
        "database": {"id": 1, "repo-key": repository},
        "error": False,
        "info": {"delta": 8458, "repository": {"delta": 464, "size": 2855952}, "size": 23213850},
        "label": label,
        "lsn": {"start": f"{stop.number // 256:X}/{stop.number % 256 << 24:X}",
                "stop": f"{stop.number // 256:X}/{(stop.number % 256 << 24) + 0x100:X}"},
        "prior": prior,
        "reference": reference,
        "timestamp": {"start": int(stopped.timestamp()) - 30, "stop": int(stopped.timestamp())},
        "type": kinds[label[-1]],
        **more,
    }


def info_json(*backups: dict[str, Any], code: int = 0, message: str = "ok", **more: Any) -> str:
    repositories = sorted({backup["database"]["repo-key"] for backup in backups}) or [1]
    return json.dumps([{
        "archive": [{"database": {"id": 1, "repo-key": each}, "id": "15-1", "max": name(9), "min": name(1)}
                    for each in repositories],
        "backup": list(backups),
        "cipher": "aes-256-cbc",
        "db": [{"id": 1, "repo-key": each, "system-id": int(SYSTEM), "version": "15"} for each in repositories],
        "name": "shop-main-db",
        "repo": [{"cipher": "aes-256-cbc", "key": each, "status": {"code": code, "message": message}}
                 for each in repositories],
        "status": {"code": code, "lock": {"backup": {"held": False}}, "message": message},
        **more,
    }])


def info(*backups: dict[str, Any], **more: Any) -> StanzaInfo:
    return parse_info(info_json(*backups, **more), "shop-main-db")


def name(number: int, timeline: int = 1) -> str:
    return Segment(timeline, number).name()


def stored(segment: str, *, sha1: str = SHA, size: int = 704, minute: int = 0, partial: bool = False) -> Stored:
    path = f"{segment[:16]}/{segment}{'.partial' if partial else ''}-{sha1}.zst"
    return Stored(path, size, START + timedelta(minutes=minute))


def archive(numbers: Iterable[int] = (), *more: Stored, timeline: int = 1) -> Archive:
    """With these segments, one a minute, and these other files."""
    files = [stored(name(number, timeline), minute=number) for number in numbers]
    return archive_of([*files, *more], "stanza shop-main-db: repository 1")


FULL, INCR, DIFF = "20261121-070000F", "20261121-070000F_20261121-080000I", "20261121-070000F_20261121-090000D"
