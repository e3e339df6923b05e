"""Write what is generated from the policy models: ``python -m include.recovery.policy.generate``.

JSON schemas for editors, and docs/policy.md for people. Tests compare the files with ``documents()``.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from include.recovery.policy.files import load_folder
from include.recovery.policy.models import Platform, ProtectedSystem
from include.recovery.policy.reference import policy_page

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "include" / "policies"

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[Path, str]:
    """Every generated file's path and text."""
    return {
        SHIPPED / "policy.schema.json": json_schema(ProtectedSystem),
        SHIPPED / "platform.schema.json": json_schema(Platform),
        ROOT / "docs" / "policy.md": policy_page(load_folder(SHIPPED)),
    }


def json_schema(model: type[BaseModel]) -> str:
    """A model's JSON schema as text, for editors."""
    schema = {"$schema": _DIALECT, **model.model_json_schema(mode="validation")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files that are not current, and name them."""
    for path, text in documents().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
