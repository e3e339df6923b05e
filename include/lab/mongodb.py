"""The lab's MongoDB: nx-27017, which speaks its wire protocol over SQLite files, on loopback without logins.

No mongod could be had where this was built. What nx-27017 answers otherwise is set right here where Lifeboat needs it:
``renameCollection`` comes to the database ``admin`` with whole names, as all drivers send it.

Run as ``python -m include.lab.mongodb PORT FOLDER``.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from include.lab.ports import LOOPBACK

DATABASE = "labdojo"
_BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)


def fill(port: int) -> None:
    """Course materials, forum threads and a cache; nothing when they are there already."""
    with MongoClient[dict[str, Any]](LOOPBACK, port, serverSelectionTimeoutMS=10_000) as client:
        database = client[DATABASE]
        if database["materials"].count_documents({}) and database["threads"].count_documents({}):
            return
        for name in ("materials", "threads", "cache_pages"):
            database.drop_collection(name)
        database["materials"].insert_many([
            {"_id": number, "course": 1 + number % 240, "title": f"Sheet {number}", "published": number % 9 > 0,
             "tags": ["exercise", f"belt-{number % 5}"], "changed": _BEGAN + timedelta(hours=number),
             "body": {"format": "markdown", "text": f"# Sheet {number}\n" + "Solve for x. " * (number % 40)}}
            for number in range(1, 1201)
        ])  # fmt: skip
        database["materials"].create_index("course")
        database["threads"].insert_many([
            {"_id": f"t{number}", "by": number % 900,
             "posts": [{"n": n, "text": f"Answer {n}"} for n in range(number % 6)]}
            for number in range(1, 401)
        ])  # fmt: skip
        database["cache_pages"].insert_one({"_id": "home", "html": "<p>"})


def main(port: int, folder: Path) -> None:
    """Serve until told to stop."""
    from nx_27017.handler import NeoSQLiteHandler
    from nx_27017.server import run_server_threaded

    class Handler(NeoSQLiteHandler):  # type: ignore[misc]
        def handle_command(self, msg: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            body = next(document for kind, document in msg["sections"] if kind == "body")
            if "renameCollection" in body:
                body["$db"] = body["renameCollection"].partition(".")[0]
            answer: tuple[int, dict[str, Any]] = super().handle_command(msg)
            return answer

    run_server_threaded(LOOPBACK, port, Handler(data_dir=str(folder)), False)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
