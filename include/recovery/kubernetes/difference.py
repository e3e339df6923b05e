"""Two objects field by field, with secrets hidden: their keys are told, and whether values are equal, never values."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from include.recovery.kubernetes.document import Object, kind_of, same
from include.recovery.kubernetes.helm import is_release

_SECRET_WORDS = (
    "password", "passwd", "secret", "token", "privatekey", "apikey", "accesskey", "credential", "connectionstring",
)  # fmt: skip
_REFERENCES = ("secretname", "secretkeyref", "secretref", "imagepullsecrets", "secretstore", "tokenexpiration")
_CONTENT = frozenset({"data", "stringData", "binaryData"})
_LONGEST = 120
ABSENT = object()


@dataclass(frozen=True)
class FieldChange:
    """A field that is not the same.

    :param path: such as ``spec.template.spec.containers[web].image``.
    :param before: as text; None when it is not there. ``after`` likewise.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def how(self) -> Literal["added", "removed", "changed"]:
        """What became of it."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    @property
    def line(self) -> str:
        """For people."""
        match self.how:
            case "added":
                return f"+ {self.path}: {self.after}"
            case "removed":
                return f"- {self.path}: {self.before}"
            case _:
                return f"~ {self.path}: {self.before} -> {self.after}"


class Differ:
    """Compares objects. Hidden values show as digests under a key of this differ alone: equal values look equal within
    one comparison, and nothing can be guessed from them later.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def fields(self, before: Object, after: Object) -> list[FieldChange]:
        """What differs between two cleaned objects, in the order of the paths."""
        return sorted(self._objects(before, after), key=lambda each: each.path)

    def _objects(self, before: Object, after: Object) -> Iterator[FieldChange]:
        secret = _hides(before) or _hides(after)
        for key in [*before, *(key for key in after if key not in before)]:
            one, other = before.get(key, ABSENT), after.get(key, ABSENT)
            hidden = (secret and key in _CONTENT) or _is_secret(f".{key}", one, other)
            yield from self._between(one, other, key, hidden=hidden)

    def _between(self, before: Any, after: Any, path: str, *, hidden: bool) -> Iterator[FieldChange]:
        if before is not ABSENT and after is not ABSENT and same(before, after):
            return
        left, right = _children(before), _children(after)
        if hidden:
            # A whole map that came or went: each of its keys is told.
            left, right = ({} if before is ABSENT else left), ({} if after is ABSENT else right)
        if left is None or right is None or not (left or right):
            yield FieldChange(path, self._shown(before, hidden=hidden), self._shown(after, hidden=hidden))
            return
        for key in [*left, *(key for key in right if key not in left)]:
            one, other = left.get(key, ABSENT), right.get(key, ABSENT)
            yield from self._between(one, other, path + key, hidden=hidden or _is_secret(key, one, other))

    def _shown(self, value: Any, *, hidden: bool) -> str | None:
        if value is ABSENT:
            return None
        if hidden:
            return self._digest(value)
        text = json.dumps(_masked(value, self._digest), ensure_ascii=False, sort_keys=True)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"

    def _digest(self, value: Any) -> str:
        content = json.dumps(value, sort_keys=True).encode()
        return f"(hidden, digest {hashlib.blake2b(content, key=self._key, digest_size=6).hexdigest()})"


def _hides(found: Object) -> bool:
    """Whether all content of an object is secret."""
    return bool(found) and (kind_of(found) == "core/Secret" or ("metadata" in found and is_release(found)))


def _children(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Mapping):
        return {f".{key}": child for key, child in value.items()}
    if isinstance(value, list):
        names = [child.get("name") if isinstance(child, dict) else None for child in value]
        if value and all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return {f"[{name}]": child for name, child in zip(names, value, strict=True)}
        return {f"[{number}]": child for number, child in enumerate(value)}
    return None


def _is_secret(key: str, *values: Any) -> bool:
    """Whether a field's name says that its value is to be kept: a password in an environment or a component."""
    if key.startswith("."):
        return _says_secret(key) and all(not isinstance(value, dict | list) for value in values)
    entries = [value for value in values if isinstance(value, dict)]
    return any("value" in value and _says_secret(str(value.get("name", ""))) for value in entries)


def _says_secret(key: str) -> bool:
    plain = "".join(letter for letter in key.lower() if letter.isalnum())
    return any(word in plain for word in _SECRET_WORDS) and not any(word in plain for word in _REFERENCES)


def _masked(value: Any, digest: Any) -> Any:
    """A value with the secrets inside it hidden."""
    if isinstance(value, dict):
        named = "value" in value and _says_secret(str(value.get("name", "")))
        return {
            key: digest(child)
            if (named and key == "value") or (_says_secret(key) and not isinstance(child, dict | list))
            else _masked(child, digest)
            for key, child in value.items()
        }
    return [_masked(child, digest) for child in value] if isinstance(value, list) else value
