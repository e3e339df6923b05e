"""The two buckets of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.recovery.objects.bucket import Bucket

if TYPE_CHECKING:
    from include.recovery.content.port import Site
    from include.recovery.policy.source_kinds.objects import ObjectsSource


def places(site: Site[ObjectsSource]) -> tuple[Bucket, Bucket]:
    """The bucket itself, and its replica."""
    source = site.source
    return (
        Bucket.of(site.name, source.bucket, site.connection(source.connection)),
        Bucket.of(f"{site.name} (replica)", source.replica.bucket, site.connection(source.replica.connection)),
    )
