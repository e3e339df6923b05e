"""Pydantic's errors as sentences: what was found, what is allowed, and which key was probably meant."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from include.recovery.policy.yaml_source import Path

_LONGEST_QUOTE = 80
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "date_type": "a day, such as 2026-11-02",
    "date_parsing": "a day, such as 2026-11-02",
    "date_from_datetime_inexact": "a day, such as 2026-11-02",
    "date_from_datetime_parsing": "a day, such as 2026-11-02",
}
_BY_CONTEXT = {
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
    "string_too_long": "at most {max_length} characters",
}
_FORMS = {
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text that is not empty",
    "too_short": "not fewer than {min_length}",
}


def sentence(model: type[BaseModel], error: ErrorDetails) -> tuple[Path, str]:
    """One of pydantic's errors as a path into the document and a sentence.

    :param model: the model that was validated.
    """
    path = document_path(model, error["loc"])
    kind, context, found = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return path, _missing(model, path)
    if kind == "extra_forbidden":
        return path, _unknown_key(str(path[-1]), _known_keys(model, path[:-1]))
    if kind in ("value_error", "assertion_error"):
        return path, str(context.get("error", error["msg"]))
    return path, f"found {_quoted(found)}; allowed is {_allowed(model, path, kind, context, error['msg'])}"


def dotted(path: Path) -> str:
    """A path as people read it, ``tiers.0.cron``; on one line whatever the keys are."""
    return ".".join(" ".join(str(piece).split()) or "''" for piece in path) or "the document"


def document_path(model: type[BaseModel], location: tuple[int | str, ...]) -> Path:
    """The path in the document of an error's location, without the parts that pydantic adds for unions and keys."""
    if location and location[-1] == "[key]":
        location = location[:-1]
    path: list[str | int] = []
    annotation: Any = model
    for number, piece in enumerate(location, 1):
        inner = list(_below(annotation, piece))
        last = number == len(location)
        if not inner and not (_models(annotation) and last):
            continue
        path.append(piece)
        annotation = Union[tuple(inner)] if inner else Any  # noqa: UP007 - its members are known at run time only
    return tuple(path)


def _missing(model: type[BaseModel], path: Path) -> str:
    info = _field(model, path)
    if info is None:
        return "is missing"
    example = repr(info.examples[0]) if info.examples else ""
    return f"is missing: {info.description}" + (f" Example: {example}" if 0 < len(example) <= _LONGEST_QUOTE else "")


def _unknown_key(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key {key!r}; {guess}known keys are {', '.join(known)}"


def _allowed(model: type[BaseModel], path: Path, kind: str, context: Mapping[str, Any], message: str) -> str:
    """What may stand there, by pydantic's kind of error."""
    if kind in _KINDS:
        return _KINDS[kind] + _example(model, path)
    if kind in _BY_CONTEXT:
        return _BY_CONTEXT[kind].format(**context)
    if kind in _FORMS:
        return _FORMS[kind].format(**context) + _example(model, path)
    return message[:1].lower() + message[1:] + _example(model, path)


def _example(model: type[BaseModel], path: Path) -> str:
    info = _field(model, path)
    return f", such as {_quoted(info.examples[0])}" if info is not None and info.examples else ""


def _quoted(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a mapping of the document may have."""
    annotations: list[Any] = [model]
    for piece in path:
        annotations = [inner for annotation in annotations for inner in _below(annotation, piece)]
    keys = [name for annotation in annotations for found in _models(annotation) for name in found.model_fields]
    return list(dict.fromkeys(keys))


def _field(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that a path ends in, if it ends in one."""
    if not path:
        return None
    annotations: list[Any] = [model]
    for piece in path[:-1]:
        annotations = [inner for annotation in annotations for inner in _below(annotation, piece)]
    for annotation in annotations:
        for found in _models(annotation):
            if path[-1] in found.model_fields:
                return found.model_fields[str(path[-1])]
    return None


def _below(annotation: Any, piece: str | int) -> Iterator[Any]:
    """The annotations of what a key or list position of a value leads to."""
    for option in _options(annotation):
        origin, arguments = get_origin(option), get_args(option)
        if _is_model(option):
            if piece in option.model_fields:
                yield option.model_fields[str(piece)].annotation
        elif origin is dict and isinstance(piece, str):
            yield arguments[1]
        elif origin in (tuple, list) and isinstance(piece, int):
            yield arguments[0]


def _options(annotation: Any) -> Iterator[Any]:
    """The members of a union, without wrappers."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _options(member)
    else:
        yield annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [option for option in _options(annotation) if _is_model(option)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
