"""The policy models as a page for people: every key, what it means, what is allowed, an example."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from include.recovery.policy.durations import ALLOWED as DURATION
from include.recovery.policy.durations import PATTERN, WAIT_ALLOWED, WAIT_PATTERN, print_duration
from include.recovery.policy.files import PolicySet, check_text
from include.recovery.policy.models import Platform, ProtectedSystem
from include.recovery.policy.rpo import worst_loss
from include.recovery.policy.rules import RULES, broken_rules
from include.recovery.policy.sizes import ALLOWED as SIZE
from include.recovery.policy.sizes import PATTERN as SIZE_PATTERN

_HEAD = """# Policies

One YAML file per protected system in `include/policies/` says what the system asks for: how much may be lost, how long
a recovery may take, what is backed up when, how long it is kept, who approves. `platform.yaml` says what all systems
share. Everything else follows from these files: DAGs, drills, runbooks, alerts.

*This page is generated from the models (`make docs`); a test keeps it current.*

- An editor that knows YAML schemas completes and checks the files: each names its schema in its first line.
- Unknown keys and keys given twice are refused. There is no code in a policy, and no secret: those are in connections.
- All problems of all files are shown at once, as an import error of `policy_problems.py` in the web UI. A broken file
  stops the schedules of its own system only; the last valid policy stays in the store, under
  `<system>/policy/last-valid.yaml`, so that alerts still know the objectives.
"""

_UNITS = {PATTERN: "[duration](#durations)", WAIT_PATTERN: "[short wait](#durations)", SIZE_PATTERN: "[size](#sizes)"}
_FIELDS_BROKEN = (
    ("time_zone: Asia/Kolkata", "time_zone: Asia/Kolkatta"),
    ("priority: 4", "priority: high"),
    ('cron: "30 1 * * *"', 'cron: "30 1 * *"'),
    ("drills:", "drils:"),
)
_RULES_BROKEN = (("rpo: 24h", "rpo: 1h"), ("stores: [primary, offsite]", "stores: [offsite]"))


def policy_page(policies: PolicySet) -> str:
    """The whole of docs/policy.md.

    :param policies: the shipped policies; their objectives are shown.
    """
    parts = [
        _HEAD,
        "## The five systems\n",
        *_systems(policies),
        "## What a problem looks like\n",
        *_problems(policies.folder),
    ]
    parts += ["## A system: `<system>.yaml`\n", *_models(ProtectedSystem)]
    parts += ["## The platform: `platform.yaml`\n", *_models(Platform)]
    parts += ["## What must agree\n", "Rules across fields, judged when the fields themselves are right:\n"]
    parts += ["\n".join(f"- **{_title(rule.__name__)}**: {inspect.getdoc(rule)}" for rule in RULES) + "\n"]
    parts += ["## Durations\n", f"{DURATION[0].upper()}{DURATION[1:]}; `0s` is nothing at all.\n"]
    parts += [f"Short waits are {WAIT_ALLOWED}.\n", "## Sizes\n", f"{SIZE[0].upper()}{SIZE[1:]}.\n"]
    return "\n".join(parts).rstrip() + "\n"


def _systems(policies: PolicySet) -> Iterator[str]:
    rows = []
    for system in policies.systems.values():
        for source in system.sources:
            objective, loss = system.objective(source), worst_loss(system, source)
            between = "unbounded" if loss.between is None else print_duration(loss.between)
            rows.append((
                system.title, source.name, source.data_class, objective.in_words("rpo"), between,
                objective.in_words("rto"), ", ".join(tier.name for tier in system.tiers_of(source)),
                ", ".join(name for name, drill in system.drills.items() if source.name in drill.sources),
            ))  # fmt: skip
    head = ("system", "source", "data class", "RPO", "worst distance of recovery points", "RTO", "tiers", "drills")
    yield _table(head, rows)
    yield (
        "*Assumed* objectives are not in the system's documents: its owner chose them, and the file's note says why.\n"
        "The worst distance counts the source's fastest path: all its tiers, on the wall clock of its time zone, and "
        "its WAL archive.\n"
    )
    times = [
        (system.title, name, scenario.in_words(), scenario.help)
        for system in policies.systems.values()
        for name, scenario in system.scenarios.items()
    ]
    yield _table(("system", "scenario", "RTO", "when"), times)


def _problems(folder: Path) -> Iterator[str]:
    """Lines that a shipped file would give if it were wrong."""
    text = (folder / "ksrce-lab.yaml").read_text(encoding="utf-8")
    for intro, changes in (("With", _FIELDS_BROKEN), ("With right fields that do not agree, such as", _RULES_BROKEN)):
        broken = text
        for right, wrong in changes:
            broken = broken.replace(right, wrong)
        reading = check_text("ksrce-lab.yaml", broken, ProtectedSystem, broken_rules)
        yield f"{intro} {', '.join(f'`{wrong}`' for _, wrong in changes)} in `ksrce-lab.yaml`:\n"
        yield "```text\n" + "\n".join(reading.problems) + "\n```\n"


def _models(root: type[BaseModel]) -> Iterator[str]:
    """A section for each model, the root first, in the order in which they are named."""
    schema = root.model_json_schema(mode="validation")
    models: dict[str, Mapping[str, Any]] = {root.__name__: schema, **_in_order(schema)}
    fields = {model.__name__: model for model in _all_models(root)}
    for name, definition in models.items():
        yield f"### {_title(name)}\n"
        yield f"{_first_paragraphs(definition.get('description', ''))}\n"
        yield _table(("key", "meaning", "allowed", "default", "example"), _rows(definition, fields[name]))


def _rows(definition: Mapping[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    own = [key for key in model.model_fields if key in model.__annotations__]
    for key in dict.fromkeys([*own, *model.model_fields]):
        info = model.model_fields[key]
        prop = definition["properties"][key]
        required = info.is_required()
        default = "**required**" if required else _default(info)
        yield f"`{key}`", info.description or "", _allowed(prop), default, f"`{_flow((info.examples or [''])[0])}`"


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is None or value == () or value is PydanticUndefined:
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    return f"`{_flow(TypeAdapter(info.rebuild_annotation()).dump_python(value, mode='json'))}`"


def _allowed(prop: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "$ref" in prop:
        return _link(prop["$ref"])
    for several in ("anyOf", "oneOf"):
        if several in prop:
            words = [_allowed(option) for option in prop[several] if option.get("type") != "null"]
            return " or ".join(dict.fromkeys(words))
    if "const" in prop or "enum" in prop:
        return ", ".join(f"`{value}`" for value in prop.get("enum", [prop.get("const")]))
    kind = prop.get("type")
    if kind == "array":
        items = _allowed(prop["items"])
        return f"list of {items}s" if items in ("name", "text") else f"list of {items}"
    if kind == "object" and prop.get("additionalProperties") is True:
        return "mapping"
    if kind == "object":
        names = prop.get("propertyNames", {})
        keys = f"{_allowed(names)} to " if "enum" in names else "names to "
        values = prop.get("additionalProperties") or next(iter(prop["patternProperties"].values()))
        return f"mapping of {keys}{_allowed(values)}"
    if kind in ("integer", "number"):
        low, high = (prop.get(edge, prop.get(f"exclusive{edge.capitalize()}")) for edge in ("minimum", "maximum"))
        what = "whole number" if kind == "integer" else "number"
        return f"{what} from {low} to {high}" if high is not None else what
    return _text(prop) if kind == "string" else {"boolean": "true or false"}.get(str(kind), "any value")


def _text(prop: Mapping[str, Any]) -> str:
    if prop.get("pattern") in _UNITS:
        return _UNITS[prop["pattern"]]
    formats = {"cron": "cron", "time-zone": "IANA time zone", "date": "day", "path": "path"}
    plain = "name" if prop.get("pattern", "").startswith("^[a-z][a-z0-9]*(") else "text"
    return formats.get(prop.get("format", ""), plain)


def _link(ref: str) -> str:
    name = _title(ref.rsplit("/", 1)[-1])
    return f"[{name.lower()}](#{name.lower().replace(' ', '-')})"


def _in_order(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The definitions of a schema in the order in which its properties reach them."""
    definitions = schema.get("$defs", {})
    found: dict[str, Mapping[str, Any]] = {}

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rsplit("/", 1)[-1]
            if name in definitions and name not in found:
                found[name] = definitions[name]
                visit(definitions[name])
            for key, value in node.items():
                if key not in ("$defs", "examples"):
                    visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit({key: value for key, value in schema.items() if key != "$defs"})
    return found


def _all_models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Every policy model; the page picks those it needs by name."""

    def tree(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
        yield model
        for child in model.__subclasses__():
            yield from tree(child)

    return list(tree(root.__base__ or root))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def _flow(value: object) -> str:
    """A value as YAML writes it on one line."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _first_paragraphs(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def _title(name: str) -> str:
    """``PostgresSource`` and ``rpo_is_feasible`` as words."""
    words = "".join(f" {char}" if char.isupper() else char for char in name).replace("_", " ").split()
    return re.sub(r"\b(rpo|wal)\b", lambda found: found[0].upper(), " ".join(words).capitalize(), flags=re.IGNORECASE)
