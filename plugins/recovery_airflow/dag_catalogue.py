"""Writes ``docs/dags.md``: every DAG of the shipped policies, what it is for, when it runs, and what its graph does.

python -m recovery_airflow.dag_catalogue           writes the page
python -m recovery_airflow.dag_catalogue --check   says whether it is current
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.recovery.policy.durations import print_duration

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dags.md"
KINDS = {
    "backup": "Backups",
    "replication": "Copies in other stores",
    "drill": "Drills",
    "retention": "Retention",
    "recovery_point": "Recovery points",
    "wal_archive": "The WAL archive",
    "replay_proof": "The continuous replay proof",
    "watchdog": "The watchdog",
    "runbook": "Runbooks",
    "button": "The button",
}
INTRODUCTION = """# The DAGs

Made by `make docs` from the DAGs themselves; a test fails when it is not current. Each page below is what the DAG shows
in the web UI. Names: `<kind>__<system>`, groups are phases, task ids are verbs with the source behind two underscores.
"""


def load_dags(folder: Path = ROOT / "dags") -> list[DAG]:
    """Every DAG of the folder, by id.

    :raises RuntimeError: when a file cannot be imported.
    """
    bag_class = import_module("airflow.dag_processing.dagbag").BundleDagBag
    bag = bag_class(dag_folder=str(folder), bundle_path=folder, bundle_name="dags-folder")
    if bag.import_errors:
        raise RuntimeError("\n".join(f"{name}: {error}" for name, error in bag.import_errors.items()))
    return [bag.dags[dag_id] for dag_id in sorted(bag.dags)]


def catalogue(dags: Iterable[DAG]) -> str:
    """The page: a table of all DAGs, then each kind with its documentation and a graph of each shape that it has."""
    ordered = sorted(dags, key=lambda dag: (list(KINDS).index(kind_of(dag)), dag.dag_id))
    lines = [INTRODUCTION, "| DAG | when | what |", "|---|---|---|"]
    lines += [f"| [`{dag.dag_id}`](#{kind_of(dag)}) | {when(dag)} | {dag.dag_display_name} |" for dag in ordered]
    for kind, group in groupby(ordered, key=kind_of):
        lines += ["", f'<a id="{kind}"></a>', "", f"## {KINDS[kind]}", "", *section(list(group))]
    return "\n".join(lines) + "\n"


def section(dags: Sequence[DAG]) -> Iterator[str]:
    """Documentation of a kind, and the graph of the first DAG of each shape."""
    text = inspect.cleandoc(dags[0].doc_md or "")
    yield text[text.index("### ") :] if "### " in text else text
    shapes: dict[frozenset[str], DAG] = {}
    for dag in dags:
        shapes.setdefault(frozenset(story(task) for task in dag.tasks), dag)
    for dag in shapes.values():
        yield ""
        yield f"### Steps, as in `{dag.dag_id}`"
        yield ""
        yield "| task | does | after |"
        yield "|---|---|---|"
        tasks: list[Any] = list(dag.topological_sort())  # type: ignore[no-untyped-call]
        for task in tasks:
            after = ", ".join(f"`{name}`" for name in sorted(nearest(dag, task.task_id))) or "the start"
            yield f"| `{task.task_id}` | {story(task)} | {after} |"


def nearest(dag: DAG, task_id: str) -> set[str]:
    """The tasks directly before one, without those that are before one of these anyway."""
    before = set(dag.get_task(task_id).upstream_task_ids)
    further = {other for name in before for other in dag.get_task(name).get_flat_relative_ids(upstream=True)}
    return before - further


def story(task: object) -> str:
    """The first sentence of an operator's docstring."""
    operator = getattr(task, "operator_class", type(task))
    return " ".join((inspect.getdoc(operator) or "").split("\n\n", 1)[0].split())


def when(dag: DAG) -> str:
    """A DAG's schedule in words."""
    expression = getattr(dag.timetable, "expression", None) or getattr(dag.timetable, "_expression", None)
    if expression:
        zone = getattr(dag.timetable, "timezone", None) or getattr(dag.timetable, "_timezone", "")
        return f"`{expression}` {getattr(zone, 'name', zone)}"
    if delta := getattr(dag.timetable, "delta", None) or getattr(dag.timetable, "_delta", None):
        return f"every {print_duration(delta)}"
    return "when a backup is announced" if kind_of(dag) == "replication" else "by hand"


def kind_of(dag: DAG) -> str:
    """What a DAG is for: the tag that all DAGs of its file share."""
    return next(kind for kind in KINDS if kind in dag.tags)


def main() -> int:
    """Write the page, or check it."""
    with tempfile.TemporaryDirectory(prefix="lifeboat-docs-") as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
        os.environ["LIFEBOAT_POLICIES"] = str(ROOT / "include" / "policies")
        text = catalogue(load_dags())
    if "--check" in sys.argv:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
