"""A real server: snapshot, backup, restore, questions; its data lost and put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.content.port import Selection
from include.recovery.evidence.model import Outcome
from tests.fixtures.content import ContentPlace
from tests.integration.prometheus.conftest import HOURS, STEP, Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

Make = Callable[..., ContentPlace]
QUESTIONS = [
    {"name": "the server was scraped", "query": "count(up)", "at_least": 1},
    {"name": "every shop is there", "query": "count(count by (shop) (orders))", "before": "2h", "expect": 3},
    {"name": "no sample is lost", "query": f"sum(count_over_time(orders[{HOURS + 6}h]))",
     "expect": 3 * HOURS * 3600 // STEP},
]  # fmt: skip


def left(server: Server) -> list[Path]:
    """Of snapshots."""
    return sorted((server.data / "snapshots").glob("*"))


@pytest.mark.demand("A5")
def test_all_series_come_back_and_answer_the_same(prometheus: Server, content_place: Make) -> None:
    prometheus.wait_for("up == 1")
    place = content_place(prometheus.source(questions=QUESTIONS), connections=prometheus.connections)
    assert "snapshots allowed" in place.verbs.precheck(place.workspace, place.system, place.source)

    backup, folder = place.prove()
    checks = place.verbs.validate(place.workspace, backup, folder)

    assert left(prometheus) == []
    items = list(place.impl.items(place.site, folder))
    assert len(items) >= 4, "hours of blocks, and the newest samples as one"
    assert {block.name for block in prometheus.data.glob("01*")} < {item.name for item in items}
    assert [(check.outcome, check.found) for check in checks[2:]] == [
        (Outcome.PASSED, "3"), (Outcome.PASSED, str(3 * HOURS * 3600 // STEP)),
    ]  # fmt: skip
    assert all(check.outcome is Outcome.PASSED for check in checks)
    assert not (folder / "server").exists()
    assert place.compare(backup, folder).identical, "asking has not changed the copy"
    assert any("write-ahead" in each.what for each in backup.manifest.left_out)


@pytest.mark.demand("A5")
def test_lost_data_is_put_back_and_the_present_kept_aside(prometheus: Server, content_place: Make) -> None:
    place = content_place(prometheus.source(), connections=prometheus.connections)
    backup = place.back_up()
    prometheus.stop()
    lost = next(prometheus.data.glob("01*"))
    shutil.rmtree(lost)
    assert lost.name in {change.name for change in place.verbs.preview(place.workspace, backup)}

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert (Path(done.aside) / "wal").is_dir()
    assert not (Path(done.aside) / lost.name).exists()
    assert (prometheus.data / lost.name).is_dir()
    assert done.changed >= 1
    prometheus.start()
    (one,) = prometheus.ask(f"sum(count_over_time(orders[{HOURS + 6}h]))")
    assert one["value"][1] == str(3 * HOURS * 3600 // STEP)
    prometheus.wait_for("up == 1")


def test_data_that_is_gone_altogether_comes_back(prometheus: Server, content_place: Make) -> None:
    place = content_place(prometheus.source(), connections=prometheus.connections)
    backup = place.back_up()
    prometheus.stop()
    shutil.rmtree(prometheus.data)

    done = place.verbs.put_back(place.workspace, backup, leave=place.site.name)

    assert done.aside == "nothing: there was no folder"
    prometheus.start()
    assert prometheus.ask("count(up)") or prometheus.ask(f"sum(count_over_time(orders[{HOURS + 6}h]))")


def test_single_blocks_can_be_restored_to_a_copy(prometheus: Server, content_place: Make) -> None:
    place = content_place(prometheus.source(), connections=prometheus.connections)
    only = Selection((next(prometheus.data.glob("01*")).name,))
    backup = place.back_up()

    found = place.compare(backup, place.copy(backup, only), only)

    assert (found.identical, found.compared_rows) == (True, 1)


def test_nothing_is_spooled_while_a_snapshot_is_stored(prometheus: Server, content_place: Make) -> None:
    """Blocks in a snapshot are links to the server's own files."""
    place = content_place(prometheus.source(), connections=prometheus.connections)
    from include.recovery.sources import prometheus as kind

    seen: list[int] = []
    packed = kind.pack

    def look(folder: Path, to: object) -> object:
        seen.extend(path.stat().st_nlink for path in folder.rglob("chunks/*"))
        return packed(folder, to)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "pack", look)
        place.back_up()

    assert sorted(seen)[1:] == [2] * (len(seen) - 1)
    assert os.path.lexists(prometheus.data)
