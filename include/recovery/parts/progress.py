"""Who is told how far a backup, a restore or a copy is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told from several threads at once, about once for each MiB."""

    def add(self, part: str, stored: int, content: int) -> None:
        """So many more bytes are done.

        :param part: the part's name.
        :param stored: bytes of the stored (compressed, encrypted) form.
        :param content: bytes of the content.
        """
        ...


class _NoProgress:
    def add(self, part: str, stored: int, content: int) -> None:
        """Tell nobody."""


NO_PROGRESS: Progress = _NoProgress()
