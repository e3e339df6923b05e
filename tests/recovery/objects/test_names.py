from __future__ import annotations

from include.recovery.objects.names import NAMED, Names


def test_the_first_are_named_and_the_rest_are_counted() -> None:
    names = Names()
    assert not names
    for number in range(NAMED + 5):
        names.add(f"n{number}")
        names.add("n0")
    assert names.count == 2 * (NAMED + 5)
    assert str(names).startswith(f"n0 ({NAMED + 6} objects); n1; n2; ")
    assert str(names).endswith("; n19; and 5 more")
