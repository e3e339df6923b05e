"""One object: its name in a backup, its path as a file, its text, its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import yaml

from include.recovery.content.model import Item
from include.recovery.errors import BackupCorrupt

Object = dict[str, Any]
"""An object as the API server gives it."""

CORE = "core"
"""How the nameless group of the API is called here."""
CLUSTER, NAMESPACES = "cluster", "namespaces"
_SUFFIX = ".yaml"
_LONGEST_FILE_NAME = 240
_CUT = "%%"
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def group_of(api_version: str) -> str:
    """``apps/v1`` is of group ``apps``, ``v1`` of ``core``."""
    return api_version.rpartition("/")[0] or CORE


def kind_of(found: Mapping[str, Any]) -> str:
    """``<group>/<Kind>`` of an object, or of a reference to one."""
    return f"{group_of(found.get('apiVersion') or '')}/{found.get('kind')}"


def prefix(group: str, kind: str, namespace: str | None) -> str:
    """What the names of all objects of a kind in a namespace begin with."""
    scope = CLUSTER if namespace is None else f"{NAMESPACES}/{namespace}"
    return f"{scope}/{group}/{kind}/"


def name_of(found: Mapping[str, Any]) -> str:
    """The object's name in a backup: ``namespaces/<namespace>/<group>/<Kind>/<name>``, ``cluster/<group>/...``."""
    metadata = found["metadata"]
    return prefix(group_of(found["apiVersion"]), found["kind"], metadata.get("namespace")) + str(metadata["name"])


def path_of(name: str) -> str:
    """Where an object of this name is among the files. What no file name can hold is written as in a URL.

    A name too long for a file is cut, and ends in its digest; which it was is in the file.
    """
    *folders, last = name.split("/")
    last = quote(last, safe=":")
    if len(last) + len(_SUFFIX) > _LONGEST_FILE_NAME:
        last = last[: _LONGEST_FILE_NAME - 80] + _CUT + hashlib.sha256(last.encode()).hexdigest()
    return "/".join([*(quote(folder, safe="") for folder in folders), last + _SUFFIX])


def name_at(path: str, found: object = None) -> str:
    """The name of the object at a path.

    :param found: the object that is there; needed for a name that was cut.
    """
    if isinstance(found, dict):
        try:
            name = name_of(found)
        except (KeyError, TypeError, AttributeError):
            name = ""
        if name and path_of(name) == path:
            return name
    return unquote(path.removesuffix(_SUFFIX))


def is_cut(path: str) -> bool:
    """Whether the name of what is there can only be told from its content."""
    return _CUT in path


def canonical(found: Object) -> bytes:
    """The object as JSON of which there is one form only."""
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


def same(one: object, other: object) -> bool:
    """Whether two values of JSON are the same; ``1`` and ``true`` are not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def item_of(name: str, content: bytes) -> Item:
    """The item of an object.

    :param content: canonical JSON of the cleaned object.
    """
    return Item(name, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def text_of(found: Mapping[str, Any]) -> str:
    """The object as YAML that every parser reads alike; ``apiVersion``, ``kind`` and ``metadata`` come first."""
    first = {key: found[key] for key in ("apiVersion", "kind", "metadata") if key in found}
    ordered = first | {key: found[key] for key in sorted(found) if key not in first}
    return plain_text(ordered)


def plain_text(value: object) -> str:
    """Any value of JSON as YAML that every parser reads alike."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def parsed(text: bytes | str, where: str) -> Object:
    """The object of a file.

    :param where: for messages.
    :raises BackupCorrupt: when it is no object of Kubernetes.
    """
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506, TID251 - a safe loader, in C
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        at = getattr(error, "problem_mark", None)
        # The error itself would quote the file, which may hold a Secret.
        raise BackupCorrupt(f"{where} is no YAML{f' (line {at.line + 1})' if at else ''}") from None
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not (isinstance(metadata, dict) and metadata.get("name") and found.get("kind") and found.get("apiVersion")):
        raise BackupCorrupt(f"{where} is no object of Kubernetes: it lacks apiVersion, kind or metadata.name")
    return dict(found)


class _Dumper(yaml.CSafeDumper):
    """Quotes whatever another parser could take for something else than text: ``1e3``, ``0o7``, ``y``, dates."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _Loader(yaml.CSafeLoader):
    """Takes no text for a date: the API has none."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        style = None
    elif "\n" in value and value.isascii() and value.replace("\n", "").isprintable() and not _is_ragged(value):
        style = "|"
    else:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _is_ragged(value: str) -> bool:
    """Whether block style could lose blanks of it in some parser."""
    return value[0] in " \n" or any(line.endswith(" ") for line in value.split("\n")) or value.endswith("\n\n")


_Dumper.add_representer(str, _text)
