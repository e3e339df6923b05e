"""Putting back: nothing is overwritten, what was there is kept aside, and a kill at any moment does no harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from include.recovery.catalog.model import CompleteBackup
from include.recovery.content.port import EVERYTHING, PutBack, Selection
from include.recovery.errors import InsufficientRights, Refused
from include.recovery.files import attributes, chosen, put_back, stage
from tests.fixtures.content import ContentPlace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
Make = Callable[..., ContentPlace]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "site" / "nginx"
    (top / "conf.d").mkdir(parents=True)
    (top / "nginx.conf").write_text("good")
    (top / "conf.d" / "app.conf").write_text("app")
    (top / "conf.d" / "same.conf").write_text("same")
    (top / "one").write_text("linked")
    os.link(top / "one", top / "conf.d" / "two")
    return top


@pytest.fixture
def cert(tmp_path: Path) -> Path:
    (tmp_path / "site" / "tls").mkdir(parents=True)
    cert = tmp_path / "site" / "tls" / "cert.pem"
    cert.write_text("certificate")
    return cert


@pytest.fixture
def place(content_place: Make, top: Path, cert: Path) -> ContentPlace:
    return content_place({"kind": "files", "paths": [str(top), str(cert)]})


def damage(top: Path) -> None:
    (top / "nginx.conf").write_text("broken")
    (top / "conf.d" / "app.conf").unlink()
    (top / "conf.d" / "evil.conf").write_text("evil")
    (top / "conf.d" / "two").unlink()
    (top / "conf.d" / "two").write_text("linked")


def again(place: ContentPlace, backup: CompleteBackup, only: Selection = EVERYTHING) -> PutBack:
    return place.verbs.put_back(place.workspace, backup, leave="depot/main", only=only)


def is_as_backed_up(place: ContentPlace, backup: CompleteBackup) -> bool:
    return list(place.verbs.preview(place.workspace, backup)) == []


def left_over(top: Path) -> list[str]:
    return [path.name for path in top.parent.iterdir() if path.name.endswith(".lifeboat-new")]


@pytest.mark.demand("L18")
def test_nothing_is_overwritten_and_what_was_there_is_kept_aside(place: ContentPlace, top: Path, cert: Path) -> None:
    backup = place.back_up()
    damage(top)
    live = {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    inode = cert.stat().st_ino
    done = again(place, backup)
    assert is_as_backed_up(place, backup)
    assert (top / "one").stat().st_ino == (top / "conf.d" / "two").stat().st_ino
    aside = Path(done.aside)
    assert aside.parent == top.parent
    assert aside.name.startswith(".nginx.lifeboat-before-20")
    assert aside.stat().st_mode & 0o777 == 0o700
    kept = aside / "nginx"
    assert {path.relative_to(kept): path.read_bytes() for path in kept.rglob("*") if path.is_file()} == live
    assert done.changed == 5
    assert cert.stat().st_ino == inode, "what did not differ was not touched"
    assert left_over(top) == []


def test_putting_back_what_is_there_changes_nothing(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    inode = top.stat().st_ino
    assert again(place, backup) == PutBack(0, "nothing had to be kept aside")
    assert top.stat().st_ino == inode


def test_a_second_incident_keeps_both_states_aside(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    asides = []
    for content in ("first", "second"):
        (top / "nginx.conf").write_text(content)
        done = again(place, backup)
        asides.append(Path(done.aside) / "nginx" / "nginx.conf")
    assert [path.read_text() for path in asides] == ["first", "second"]
    assert str(asides[0].parent.parent) in "".join(done.notes)


@pytest.mark.demand("L18")
def test_a_lost_machine_gets_everything_with_the_folders_above(place: ContentPlace, top: Path, cert: Path) -> None:
    backup = place.back_up()
    os.system(f"rm -rf {top.parent}")  # noqa: S605 - a path of the test's own
    done = again(place, backup)
    assert is_as_backed_up(place, backup)
    assert cert.read_text() == "certificate"
    assert done.aside == "nothing had to be kept aside"


def test_a_selection_exchanges_only_these_files(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    damage(top)
    same = (top / "conf.d" / "same.conf").stat().st_ino
    done = again(place, backup, Selection((f"{top}/conf.d/app", f"{top}/conf.d/evil")))
    assert (top / "conf.d" / "app.conf").read_text() == "app"
    assert not (top / "conf.d" / "evil.conf").exists()
    assert (Path(done.aside) / "nginx" / "conf.d" / "evil.conf").read_text() == "evil"
    assert (top / "nginx.conf").read_text() == "broken"
    assert (top / "conf.d" / "same.conf").stat().st_ino == same
    again(place, backup, Selection((f"{top}/nginx.conf",)))
    again(place, backup, Selection((f"{top}/one", f"{top}/conf.d/two")))
    assert is_as_backed_up(place, backup)
    assert left_over(top) == []


def test_a_selection_of_everything_by_name_leads_to_the_same(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    damage(top)
    (top / "conf.d").chmod(0o711)
    (top / "nginx.conf").unlink()
    (top / "nginx.conf").mkdir()
    (top / "nginx.conf" / "strange").touch()
    done = again(place, backup, Selection((str(top),)))
    assert is_as_backed_up(place, backup)
    aside = Path(done.aside) / "nginx"
    assert (aside / "nginx.conf" / "strange").exists()
    assert (aside / "conf.d").stat().st_mode & 0o777 == 0o711, "how the folder was is kept aside too"


def test_a_selection_does_not_go_through_a_link_that_was_a_folder(
    place: ContentPlace, top: Path, tmp_path: Path
) -> None:
    backup = place.back_up()
    (top / "conf.d").rename(tmp_path / "elsewhere")
    (top / "conf.d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "app.conf").write_text("another's")
    with pytest.raises(Refused, match="a folder above it is none any more"):
        again(place, backup, Selection((f"{top}/conf.d/app",)))
    assert (tmp_path / "elsewhere" / "app.conf").read_text() == "another's"
    again(place, backup, Selection((f"{top}/conf.d", f"{top}/one")))
    assert is_as_backed_up(place, backup)
    assert (tmp_path / "elsewhere" / "app.conf").read_text() == "another's"


def test_a_further_name_that_was_lost_is_a_link_again(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    (top / "one").unlink()
    done = again(place, backup, Selection((f"{top}/one",)))
    assert (top / "one").read_text() == "linked"
    said = f"files of their own now, since their other hard links were not selected: {top}/one"
    assert done.notes == (said,)
    again(place, backup, Selection((str(top),)))
    assert (top / "one").stat().st_ino == (top / "conf.d" / "two").stat().st_ino
    assert is_as_backed_up(place, backup)


def test_paths_that_share_a_file_are_put_back_together(content_place: Make, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own").write_text(name)
    (tmp_path / "a" / "shared").write_text("one file")
    os.link(tmp_path / "a" / "shared", tmp_path / "b" / "shared")
    place = content_place({"kind": "files", "paths": [str(tmp_path / name) for name in ("a", "b", "c")]})
    backup = place.back_up()
    untouched = (tmp_path / "c").stat().st_ino
    (tmp_path / "b" / "own").write_text("damaged")
    again(place, backup)
    assert is_as_backed_up(place, backup)
    assert (tmp_path / "a" / "shared").stat().st_ino == (tmp_path / "b" / "shared").stat().st_ino
    assert (tmp_path / "c").stat().st_ino == untouched


def test_a_folder_that_was_lost_comes_back_whole(place: ContentPlace, top: Path) -> None:
    backup = place.back_up()
    os.system(f"rm -rf {top}/conf.d")  # noqa: S605 - a path of the test's own
    done = again(place, backup, Selection((f"{top}/conf.d",)))
    assert (top / "conf.d" / "app.conf").read_text() == "app"
    assert done.notes == ()
    assert not is_as_backed_up(place, backup), "the other name of two was not selected, so it is a file of its own now"
    again(place, backup)
    assert is_as_backed_up(place, backup)


STEPS = [
    (put_back, "clear"), (put_back, "fill"), (put_back, "new_aside"), (put_back, "rename"), (stage, "remove_copy"),
    (chosen, "fill"), (chosen, "new_aside"), (chosen, "apply"), (chosen, "move"),
]  # fmt: skip


@pytest.mark.demand("L18")
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "chosen"])
def test_a_kill_between_any_two_steps_loses_nothing_and_running_again_ends_it(
    place: ContentPlace, top: Path, cert: Path, whole: bool
) -> None:
    backup = place.back_up()
    only = EVERYTHING if whole else Selection((str(top), str(cert)))
    killed = 0
    for step in range(1, 100):
        (top / "nginx.conf").write_text(f"broken {step}")
        (top / "conf.d" / "evil.conf").write_text(f"evil {step}")
        (top / "conf.d").chmod(0o750)
        cert.write_text(f"expired {step}")
        if _killed_at(step, lambda: again(place, backup, only)):
            killed += 1
            for said in (f"broken {step}", f"evil {step}", f"expired {step}"):
                assert _somewhere(top.parent, said), f"{said!r} was lost by a kill at step {step}"
        again(place, backup, only)
        assert is_as_backed_up(place, backup), step
        assert left_over(top) == []
        if killed < step:
            break
    assert killed >= 10
    for step in range(1, killed + 1):
        assert _somewhere(top.parent, f"broken {step}"), "nothing that was kept aside is ever removed"


def _killed_at(step: int, act: Callable[[], object]) -> bool:
    """Run something in a process that ends, as by kill -9, before or behind its so-many-th step."""
    child = os.fork()
    if child == 0:
        count = 0

        def wrapped(function: Callable[..., object]) -> Callable[..., object]:
            def counted(*args: object, **named: object) -> object:
                nonlocal count
                for call in (lambda: function(*args, **named), None):
                    count += 1
                    if count == step:
                        os._exit(9)
                    if call is not None:
                        result = call()
                return result

            return counted

        for module, name in STEPS:
            setattr(module, name, wrapped(getattr(module, name)))
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def _somewhere(folder: Path, said: str) -> bool:
    return any(path.is_file() and path.read_text() == said for path in folder.rglob("*"))


def test_nothing_is_touched_when_an_owner_cannot_be_given_back(
    place: ContentPlace, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = place.back_up()
    damage(top)
    honest = attributes.here
    stranger = attributes.Owner(12345, 12345, "", "")
    monkeypatch.setattr(attributes, "here", lambda owner: stranger)
    monkeypatch.setattr(attributes.os, "chown", _not_permitted)
    with pytest.raises(InsufficientRights, match=r"nothing was changed, .*nginx/nginx\.conf \(owner\)"):
        again(place, backup)
    monkeypatch.setattr(attributes, "here", honest)
    assert (top / "nginx.conf").read_text() == "broken"
    assert left_over(top) == []


def _not_permitted(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_a_backup_of_a_path_that_the_policy_has_no_more_is_refused(
    place: ContentPlace, top: Path, cert: Path
) -> None:
    backup = place.back_up()
    damage(top)
    cert.unlink()
    source = place.source.model_copy(update={"paths": (str(top),)})
    site = place.verbs.site(place.workspace, place.system, source)
    with (
        place.verbs._stored(place.workspace, backup, "primary", None, site.progress) as stored,
        pytest.raises(Refused, match=f"the backup holds {cert}, and the policy's paths do not any more"),
    ):
        place.impl.put_back(site, stored)
    assert (top / "nginx.conf").read_text() == "broken"
