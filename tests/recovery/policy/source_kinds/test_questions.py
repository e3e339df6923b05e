"""Questions that policies put to copies of MongoDB and Redis."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.recovery.policy.source_kinds.mongodb import DocumentsQuestion
from include.recovery.policy.source_kinds.redis import KeysQuestion

DOCUMENTS = {"name": "there are courses", "database": "labdojo", "collection": "courses"}
KEYS = {"name": "there are actors", "keys": "todo||Actor||*"}


@pytest.mark.parametrize(
    ("question", "expected", "right", "wrong"),
    [
        (DocumentsQuestion(**DOCUMENTS, expect=3), "3", 3, 4),
        (DocumentsQuestion(**DOCUMENTS, at_least=3), "at least 3", 4, 2),
        (KeysQuestion(**KEYS, expect=0), "0", 0, 1), (KeysQuestion(**KEYS, at_least=1), "at least 1", 1, 0),
    ],
)  # fmt: skip
def test_a_count_is_right_or_wrong(question: Any, expected: str, right: int, wrong: int) -> None:
    assert question.expected == expected
    assert question.accepts(right)
    assert not question.accepts(wrong)


@pytest.mark.parametrize(("model", "fields"), [(DocumentsQuestion, DOCUMENTS), (KeysQuestion, KEYS)])
@pytest.mark.parametrize(("given", "found"), [({}, "neither"), ({"expect": 1, "at_least": 1}, "both")])
def test_one_of_two_expectations_is_given(model: Any, fields: Any, given: Any, found: str) -> None:
    with pytest.raises(ValidationError, match=f"found {found} of expect and at_least"):
        model(**fields, **given)


@pytest.mark.parametrize("code", ["$where", "$function", "$accumulator"])
def test_a_question_runs_no_code(code: str) -> None:
    with pytest.raises(ValidationError, match="operators that run no code"):
        DocumentsQuestion(**DOCUMENTS, at_least=1, filter={"$or": [{"a": 1}, {"$expr": {code: "1"}}]})
