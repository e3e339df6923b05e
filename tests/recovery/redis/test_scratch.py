"""Which Redis can read what another has written."""

from __future__ import annotations

import pytest

from include.recovery.errors import SourceError
from include.recovery.redis.scratch import must_read


@pytest.mark.parametrize(("server", "ours"), [("7.0.15", "7.0.3"), ("6.2.14", "7.0.15"), ("7.2.4", "10.0.1")])
def test_an_older_one_can_be_read(server: str, ours: str) -> None:
    must_read(server, ours, "depot/state")


@pytest.mark.parametrize(("server", "ours"), [("7.2.0", "7.0.15"), ("8.0.1", "7.4.9"), ("10.0.0", "7.0.15")])
def test_a_newer_one_is_refused_before_anything_is_copied(server: str, ours: str) -> None:
    with pytest.raises(SourceError, match=rf"depot/state: Redis {server} writes an RDB .* Redis {ours} may not"):
        must_read(server, ours, "depot/state")
