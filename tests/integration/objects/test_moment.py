"""Versions protect continuously: the bucket at moments that are no backup's."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from include.recovery.content.port import Selection
from include.recovery.errors import Refused
from include.recovery.objects import moment as moments
from include.recovery.objects.changes import Doubt
from tests.integration.objects.conftest import MIB, Uploads

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.demand("K2", "K5")
def test_any_moment_comes_back(uploads: Uploads) -> None:
    uploads.put("a/1", b"first")
    uploads.put("a/2", b"first")
    uploads.put("b/1", b"first")
    uploads.put_in_parts("a/parts", os.urandom(5 * MIB), b"end")
    uploads.place.back_up()
    uploads.put("a/3", b"no backup knows it")
    first, at_first = uploads.now(), uploads.content()
    uploads.put("a/1", b"other")  # of the same size
    uploads.delete("a/2")
    uploads.delete("a/parts")
    uploads.put("a/3", b"no backup knows it")  # the same again
    uploads.put("b/1", b"second, longer")
    uploads.put("b/2", b"new")
    second, at_second = uploads.now(), uploads.content()
    uploads.delete("a/1")
    uploads.put("a/2", b"came back by itself")
    uploads.put("b/2", b"newer")
    third = uploads.now()
    site = uploads.place.site

    for when, content in ((first, at_first), (second, at_second)):
        items = list(moments.as_of(site, when))
        assert [item.name for item in items] == sorted(content)
        for item in items:
            assert uploads.here.get(item.name, item.at)[0] == content[item.name]

    found = {change.name: change.how for change in moments.preview(site, first)}
    assert found == {
        "a/1": "missing", "a/2": "content", "a/parts": "missing", "b/1": "content", "b/2": "unexpected",
    }  # fmt: skip
    with pytest.raises(Refused, match="needs leave"):
        moments.restore(site, first, leave="depot")
    only = Selection(("a/",))
    assert {change.name for change in moments.preview(site, first, only=only)} == {"a/1", "a/2", "a/parts"}
    assert moments.restore(site, first, leave="depot/uploads", only=only).changed == 3
    now = uploads.content()
    assert {key: now[key] for key in now if key.startswith("a/")} == {
        key: at_first[key] for key in at_first if key.startswith("a/")
    }
    assert now["b/2"] == b"newer"

    assert moments.restore(site, second, leave="depot/uploads").changed > 0
    assert uploads.content() == at_second
    assert list(moments.preview(site, second)) == []
    aside = {item.name for item in moments.as_of(site, third)}
    assert aside == {"a/2", "a/3", "b/1", "b/2"}, "what was there before is itself a moment"


def test_what_was_deleted_for_good_since_comes_from_the_replica(uploads: Uploads) -> None:
    version = uploads.put("doomed", b"content")
    uploads.place.back_up()
    then = uploads.now()
    uploads.delete("doomed", version)
    site = uploads.place.site

    assert [change.name for change in moments.preview(site, then)] == ["doomed"]
    done = moments.restore(site, then, leave="depot/uploads")

    assert uploads.content() == {"doomed": b"content"}
    assert "'doomed', whose version" in done.notes[0]


def test_an_upload_in_parts_is_in_doubt_until_a_backup_has_seen_it(uploads: Uploads) -> None:
    uploads.put_in_parts("parts", os.urandom(5 * MIB), b"end")
    when = uploads.now()
    doubts: list[Doubt] = []
    assert [item.name for item in moments.as_of(uploads.place.site, when, tell=doubts.append)] == ["parts"]
    assert [doubt.key for doubt in doubts] == ["parts"]
    assert "multipart upload" in doubts[0].why
    uploads.place.back_up()
    doubts.clear()
    assert list(moments.as_of(uploads.place.site, uploads.now(), tell=doubts.append))
    assert doubts == []


def test_a_moment_that_is_not_over_is_refused(uploads: Uploads) -> None:
    now = uploads.here.clock()
    with pytest.raises(Refused, match="not over yet"):
        list(moments.as_of(uploads.place.site, now + timedelta(minutes=1)))
    with pytest.raises(Refused, match="no time zone"):
        list(moments.preview(uploads.place.site, now.replace(tzinfo=None)))
