"""Durations, sizes and moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.recovery.evidence.records import key_text
from include.recovery.evidence.words import duration, listed, moment, plural, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"), (0, "0 s"), (0.42, "0.4 s"), (9.96, "10 s"), (12.4, "12 s"), (59.7, "1 min"),
        (200, "3 min 20 s"), (3600, "1 h"), (3900, "1 h 5 min"), (183_600, "2 d 3 h"), (-5, "-5 s"),
        (timedelta(minutes=15), "15 min"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (224_000_000, "214 MiB"),
        (5 * 2**40, "5.0 TiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_size(count, text):
    assert size(count) == text


def test_moment_is_in_the_systems_time_zone():
    assert moment(datetime(2026, 7, 1, 0, 0, tzinfo=UTC), "Europe/Berlin") == "2026-07-01 02:00:00 CEST"
    assert moment(None) == "never"


def test_lists():
    assert listed([]) == "none"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefghij")) == "a, b, c, d, e, f, g, h and 2 more"
    assert (plural(1, "row"), plural(2000, "row"), plural(2, "person", "people")) == ("1 row", "2,000 rows", "2 people")


def test_key_text_is_one_segment_and_tells_names_apart():
    assert key_text("manual__1") == "manual__1"
    assert "/" not in key_text("a/b")
    assert key_text("a/b") != key_text("a_b")
    assert key_text("..") != ".."
