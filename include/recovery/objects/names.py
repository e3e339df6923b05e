"""Things to name in a message: the first few by name, the rest by their number."""

from __future__ import annotations

NAMED = 20


class Names:
    """Takes any number of them in flat memory."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self.count = 0

    def add(self, what: str) -> None:
        """One more."""
        self.count += 1
        if what in self._first or len(self._first) < NAMED:
            self._first[what] = self._first.get(what, 0) + 1

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        told = [f"{what} ({number} objects)" if number > 1 else what for what, number in self._first.items()]
        more = self.count - sum(self._first.values())
        return "; ".join(told) + (f"; and {more} more" if more else "")
