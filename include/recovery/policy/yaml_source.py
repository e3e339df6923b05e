"""YAML text to plain values: safely, with line numbers, and with duplicate keys refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Where a value is in a document: keys and list positions."""
Broken = tuple[Path, str]
"""Where a document breaks a rule, and the sentence that says so."""

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BrokenYaml(ValueError):
    """The text is not YAML; the message is one sentence, ``line`` where it was noticed."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Duplicate:
    """A key that a mapping has twice; YAML would silently take the last."""

    path: Path
    line: int
    first_line: int


@dataclass(frozen=True)
class Document:
    """A parsed document.

    :param value: what it holds, plain values only.
    :param lines: line of each key or list item, counted from 1.
    """

    value: Any
    lines: dict[Path, int]
    duplicates: tuple[Duplicate, ...]

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest thing around it that the document has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str) -> Document:
    """A document from its text, by the rules of ``yaml.safe_load`` (no tags that run code).

    :raises BrokenYaml: when the text is not YAML, holds several documents, or uses unsafe tags.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BrokenYaml(_sentence(error), 1 if mark is None else mark.line + 1) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise BrokenYaml(f"this is not YAML: {' '.join(str(error).split())}", 1) from None
    finally:
        loader.dispose()
    lines: dict[Path, int] = {}
    duplicates = () if node is None else tuple(_walk(node, (), lines))
    return Document(value, lines, duplicates)


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Iterator[Duplicate]:
    """Record the line of everything below a node, and yield the keys given twice."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                yield Duplicate((*path, name), line, seen[name])
            seen.setdefault(name, line)
            lines[(*path, name)] = line
            yield from _walk(value, (*path, name), lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _walk(item, (*path, number), lines)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join((error.problem or "it cannot be read").split())
    context = f" {' '.join(error.context.split())}" if error.context else ""
    return f"this is not YAML: {problem}{context}"
