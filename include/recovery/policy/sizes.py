"""Sizes as people write them: ``512MiB``, ``1GiB``."""

from __future__ import annotations

import re

PATTERN = r"^[0-9]+(KiB|MiB|GiB|TiB)$"
ALLOWED = "a whole number of KiB, MiB, GiB or TiB, such as '512MiB' or '1GiB'"

_BYTES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
_LARGEST = 1 << 50


def parse_size(text: str) -> int:
    """A size in bytes from its text.

    :param text: such as ``512MiB``.
    :raises ValueError: naming the text and what is allowed; also for more than a pebibyte.
    """
    if not re.fullmatch(PATTERN, text, re.ASCII):
        raise ValueError(f"found {text!r}; a size is {ALLOWED}")
    size = int(text[:-3]) * _BYTES[text[-3:]]
    if size > _LARGEST:
        raise ValueError(f"found {text!r}; a size is at most 1024TiB")
    return size


def print_size(size: int) -> str:
    """The text of a size, in the largest unit that gives a whole number; it parses back to the same size.

    :param size: bytes, a whole number of KiB and not negative.
    """
    if size < 0 or size % _BYTES["KiB"]:
        raise ValueError(f"found {size} bytes; a size is {ALLOWED}")
    unit = next((unit for unit, many in _BYTES.items() if size and size % many == 0), "KiB")
    return f"{size // _BYTES[unit]}{unit}"
