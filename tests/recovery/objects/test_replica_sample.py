from __future__ import annotations

import random

from include.recovery.objects.copy import Entry
from include.recovery.objects.replica_sample import sample

ENTRIES = [Entry(f"{number:03}", "", {}) for number in range(200)]


def test_each_is_as_likely_as_any_other() -> None:
    chance = random.Random(7)  # noqa: S311
    counts = dict.fromkeys((entry.key for entry in ENTRIES), 0)
    for _ in range(2000):
        chosen = sample(iter(ENTRIES), 20, chance)
        assert len(chosen) == 20
        assert [entry.key for entry in chosen] == sorted(entry.key for entry in chosen)
        for entry in chosen:
            counts[entry.key] += 1
    assert min(counts.values()) > 130
    assert max(counts.values()) < 280


def test_few_are_all_chosen() -> None:
    chance = random.Random(1)  # noqa: S311
    assert sample(iter(ENTRIES[:3]), 20, chance) == ENTRIES[:3]
