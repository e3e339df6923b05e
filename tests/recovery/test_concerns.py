"""Concerns in the order in which people read them."""

from __future__ import annotations

from include.recovery.concerns import Concern, Severity, gravest_first, worst


def test_the_gravest_comes_first_and_each_once() -> None:
    late = Concern(Severity.WARNING, "b", "late")
    dead, note = Concern(Severity.CRITICAL, "z", "dead"), Concern(Severity.NOTE, "a", "by the way")
    assert gravest_first([note, late, dead, late]) == (dead, late, note)
    assert worst([late, note]) is Severity.WARNING
    assert worst([]) is None
