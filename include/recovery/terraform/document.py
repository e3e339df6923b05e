"""A state document: checked for what Terraform itself would stumble over, and told apart into items.

It is held in memory as a whole, as Terraform holds it; ``MOST`` bounds that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from include.recovery.content.model import Item
from include.recovery.errors import LifeboatError

MOST = 256 * 1024 * 1024
"""Bytes. States of a few thousand resources have some MiB."""


@dataclass(frozen=True)
class State:
    """A state document.

    :param lineage: made when a state begins, and kept for ever; another one means another state.
    :param serial: grows with each write.
    :param version: of the Terraform that wrote it.
    :param providers: that its resources need.
    """

    lineage: str
    serial: int
    version: str
    providers: tuple[str, ...]
    _document: Mapping[str, Any]

    @property
    def position(self) -> str:
        """For manifests: lineage and serial."""
        return f"{self.lineage}/{self.serial}"

    def items(self) -> Iterator[Item]:
        """Each instance of a resource, the outputs, the checks, lineage and serial; in order."""
        found = [
            Item("lineage", self.lineage),
            Item("serial", str(self.serial)),
            _item("outputs", self._document.get("outputs")),
            _item("checks", self._document.get("check_results")),
            *self._instances(),
        ]
        return iter(sorted(found, key=lambda item: item.order))

    def same_but_serial(self, other: State) -> bool:
        """Whether both say the same of the world."""
        mine, theirs = ([item for item in state.items() if item.name != "serial"] for state in (self, other))
        return mine == theirs

    def with_serial(self, serial: int) -> bytes:
        """The document as another write of it, as Terraform lays it out."""
        return json.dumps({**self._document, "serial": serial}, indent=2, ensure_ascii=False).encode() + b"\n"

    def addresses(self) -> list[str]:
        """Of all instances, as ``terraform state list`` prints them; deposed ones are not among them."""
        return [item.name for item in self._instances() if " (deposed " not in item.name]

    def _instances(self) -> Iterator[Item]:
        for resource in self._document["resources"]:
            for instance in resource["instances"]:
                yield _item(_address(resource, instance), (resource.get("provider"), instance))


def parse(data: bytes, where: str, wrong: type[LifeboatError]) -> State:
    """Read a state document.

    :param where: for messages.
    :param wrong: what to raise when it is none that Terraform would take.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        # Not chained: the decoder's error carries the document, which holds secrets.
        place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "encoding"
        raise wrong(
            f"{where}: the state of {len(data)} bytes is no whole JSON ({place}); it was cut off or is damaged"
        ) from None
    if not isinstance(document, dict):
        raise wrong(f"{where}: the state is no JSON object; it is damaged or something else")
    if "encrypted_data" in document:
        raise wrong(f"{where}: the state is encrypted by OpenTofu and cannot be told apart; back it up as a file")
    if document.get("version") != 4:
        raise wrong(
            f"{where}: the state has format version {document.get('version')!r}; allowed is 4 (Terraform 0.12 on)"
        )
    problems = list(_problems(document))
    if problems:
        raise wrong(f"{where}: the state cannot be right: {'; '.join(problems[:5])}")
    resources = document["resources"]
    state = State(
        document["lineage"], document["serial"], str(document.get("terraform_version", "")),
        tuple(sorted({resource["provider"] for resource in resources})), document,
    )  # fmt: skip
    names = [item.name for item in state.items()]
    twice = sorted({name for name, after in pairwise(names) if name == after})
    if twice:
        raise wrong(f"{where}: the state names {', '.join(twice[:5])} twice")
    return state


def _problems(document: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(document.get("lineage"), str) or not document["lineage"]:
        yield "it has no lineage"
    if not isinstance(document.get("serial"), int) or document["serial"] < 0:
        yield "it has no serial"
    resources = document.get("resources")
    if not isinstance(resources, list):
        yield "it has no list of resources"
        return
    for number, resource in enumerate(resources):
        where = f"resource {number}"
        if not isinstance(resource, dict) or not isinstance(resource.get("instances"), list):
            yield f"{where} has no list of instances"
        elif any(not isinstance(resource.get(key), str) for key in ("mode", "type", "name", "provider")):
            yield f"{where} lacks mode, type, name or provider"
        elif not resource["provider"].rpartition("provider[")[1]:
            yield f"{where} has provider {resource['provider'][:80]!r}"
        elif any(not isinstance(instance, dict) for instance in resource["instances"]):
            yield f"{where} has an instance that is none"


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    module = f"{resource['module']}." if resource.get("module") else ""
    data = "data." if resource["mode"] == "data" else ""
    key = instance.get("index_key")
    index = "" if key is None else f"[{json.dumps(key, ensure_ascii=False)}]"
    deposed = f" (deposed {instance['deposed']})" if instance.get("deposed") else ""
    return f"{module}{data}{resource['type']}.{resource['name']}{index}{deposed}"


def _item(name: str, value: Any) -> Item:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Item(name, hashlib.sha256(text).hexdigest(), len(text))
