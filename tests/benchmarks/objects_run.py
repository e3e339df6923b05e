"""One measurement over a bucket of many objects, in a process of its own.

    python -m tests.benchmarks.objects_run DIRECTORY OBJECTS prepare|backup|plain|fingerprint|preview

Prints what it found and the seconds that it took, as JSON. The directory holds ``connection.json``, the way to the
service. ``prepare`` makes a backup whose inventory and history are written by number, as a backup of the bucket would
have written them; ``backup`` takes a real one.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from include.recovery.connections import connections_from_environment
from include.recovery.content.inventory import measured
from include.recovery.content.model import Item
from include.recovery.content.port import Captured, Sink, Site
from include.recovery.content.verbs import ContentVerbs
from include.recovery.keys.envelope import Keyring
from include.recovery.keys.escrow import EscrowWrapper
from include.recovery.objects import history
from include.recovery.objects.history import Head, Row
from include.recovery.policy.files import load_folder
from include.recovery.policy.source_kinds.objects import ObjectsSource
from include.recovery.sources.objects import KIND, ObjectsKind
from include.recovery.sources.run_info import RunInfo
from tests.benchmarks.listing_server import DAMAGED, WHOLE, backed_up
from tests.fixtures.content import EscrowWorkspace
from tests.fixtures.small_systems import policy

SYSTEM, CONNECTION = "gallery", "connection.json"


class Written(ObjectsKind):
    """A backup without reading the bucket."""

    def __init__(self, objects: int) -> None:
        self.objects = objects

    def capture(self, site: Site[ObjectsSource], sink: Sink) -> Captured:
        """Inventory and history by number."""
        moment = datetime(2026, 9, 30, tzinfo=UTC)
        with sink.writing(history.PART) as part:
            part.write(history.line(Head(site.source.bucket, "", int(moment.timestamp() * 1000))))
            for number in range(self.objects):
                if (version := backed_up(number)) is not None:
                    digest = hashlib.sha256(version.key.encode()).hexdigest() + "-44136fa355b3678a"
                    part.write(history.line(Row.of(version, digest=digest, copy=f"r-{number:027}", seen=1)))
                    sink.item(Item(version.key, digest, version.size, version.id))
        return Captured(moment)


def make_policy(directory: Path) -> None:
    """The system's policy, and the key of its backups."""
    policies = directory / "policies"
    policies.mkdir()
    system = policy(SYSTEM, {"streams": 1})
    system["sources"] = [
        {
            "name": name, "kind": "objects", "data_class": "all", "connection": "uploads", "bucket": name,
            "replica": {"connection": "uploads", "bucket": f"{name}-replica"},
        }
        for name in (WHOLE, DAMAGED)
    ]  # fmt: skip
    system["tiers"][0] |= {"sources": [WHOLE, DAMAGED], "stores": ["primary"]}
    system["drills"]["weekly"] |= {"sources": [WHOLE, DAMAGED]}
    (policies / f"{SYSTEM}.yaml").write_text(json.dumps(system))
    store = {"kind": "folder", "path": str(directory / "primary"), "site": "here", "medium": "disk", "provider": "here"}
    (policies / "platform.yaml").write_text(json.dumps({
        "stores": {"primary": store}, "encryption": {"kms_connection": "kms", "kms_key": "alias/test"},
        "approvals": {"signing_connection": "signing"}, "notifications": {"slack_connection": "slack"},
        "web": {"base_url": "http://127.0.0.1:8080"},
    }))  # fmt: skip
    (directory / "connections.json").write_text(f'{{"uploads": {(directory / CONNECTION).read_text()}}}')
    pem = generate_private_key(65537, 4096).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "escrow.pem").write_bytes(pem)


def back_up(directory: Path, kind: ObjectsKind) -> None:
    """Both buckets."""
    workspace = place(directory)
    found = workspace.system(SYSTEM)
    run = RunInfo(run_id="bench", started_by="the benchmark")
    for name in (WHOLE, DAMAGED):
        ContentVerbs(kind).backup(workspace, found, found.content_source(name), found.tier("daily"), run=run)


def place(directory: Path) -> EscrowWorkspace:
    """Everything that work on the buckets needs."""
    known = connections_from_environment({"LIFEBOAT_CONNECTIONS": str(directory / "connections.json")})
    ring = Keyring([EscrowWrapper(private_key_pem=(directory / "escrow.pem").read_text())])
    return EscrowWorkspace(load_folder(directory / "policies"), known, ring=ring)


def plain(directory: Path) -> int:
    """What boto3's paginator lists: the versions and markers of the bucket."""
    known = json.loads((directory / CONNECTION).read_text())
    client = boto3.client(
        "s3", **known["extra"], aws_access_key_id=known["login"], aws_secret_access_key=known["password"],
        config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip
    count = 0
    for answer in client.get_paginator("list_object_versions").paginate(Bucket=WHOLE):
        for _ in answer.get("Versions", ()):
            count += 1
        for _ in answer.get("DeleteMarkers", ()):
            count += 1
    return count


def main(directory: Path, objects: int, what: str) -> dict[str, Any]:
    """Do one of them."""
    if not (directory / "policies").exists():
        make_policy(directory)
    began = time.perf_counter()
    if what in ("prepare", "backup"):
        back_up(directory, KIND if what == "backup" else Written(objects))
        return {"seconds": time.perf_counter() - began}
    if what == "plain":
        found = plain(directory)
        return {"seconds": time.perf_counter() - began, "found": found}
    workspace, verbs = place(directory), ContentVerbs(KIND)
    system = workspace.system(SYSTEM)
    if what == "fingerprint":
        source = system.content_source(WHOLE)
        found = measured(verbs.kind.live_items(verbs.site(workspace, system, source))).items
    else:
        (backup,) = workspace.catalog().backups(SYSTEM, DAMAGED)
        found = sum(1 for _ in verbs.preview(workspace, workspace.catalog().complete(backup)))
    return {"seconds": time.perf_counter() - began, "found": found}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))  # noqa: T201
