"""Items, and the fingerprint over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.recovery.fingerprint.model import NotCompared, Record


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a source that is compared by itself: a file, an object, a document, a key, a reference.

    :param name: unique in the source. Bytes that are no UTF-8 come as surrogates (``os.fsdecode``).
    :param digest: of everything about it that a restore must bring back: content, owner, mode, type ...
    :param size: bytes of its content.
    :param at: where it is found, such as an object's version; not compared.
    """

    name: str
    digest: str
    size: int = 0
    at: str = ""

    @property
    def order(self) -> bytes:
        """By which items are sorted: the bytes of the name."""
        return self.name.encode("utf-8", "surrogateescape")


class ContentFingerprint(Record):
    """Everything that is compared between a source at the moment of its backup and a restored copy.

    :param items: their number.
    :param size: bytes of all of them.
    :param sha512: over names, digests and sizes of all items in order; equal means equal items.
    :param not_compared: what it does not cover, and why.
    """

    method: Literal[1] = 1
    items: int
    size: int
    sha512: str
    not_compared: tuple[NotCompared, ...] = ()
