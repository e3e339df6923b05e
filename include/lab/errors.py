"""What can go wrong with the lab."""

from __future__ import annotations

from include.recovery.errors import LifeboatError


class LabError(LifeboatError):
    """A part of the lab cannot be installed, started or reached; the sentence says which, and where its log is."""
