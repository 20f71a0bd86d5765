"""The page on the HTTP API, from the server's own OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sentilora.serving.app import endpoints
from sentilora.serving.refusals import Reason

INTRODUCTION = """# HTTP API

Made from the server's OpenAPI description by `make docs`; a running server has it at `/openapi.json`, and a page to try
it at `/`. Where the server was given API keys, every request but those for the page, `/health` and `/ready` carries
one: `Authorization: Bearer KEY`. An admin key alone guards the loading and unloading of adapters only. An
`X-Request-ID` that a request brings is kept, in the answer and in the log; one is made where there is none.

Each dialect answers, and refuses, in the form that its clients expect. To choose one: your own programs speak
[sentilora's](#sentilora), and programs that were written for another server keep its.
"""

REFUSALS = """## Refusals

The status and the `code` that sentilora's own dialect gives; other dialects may have another status for the same
reason. 429 carries `Retry-After`.

| code | status |
|---|---|
"""


def http_api() -> str:
    """Every endpoint by dialect, then the refusals."""
    description = json.loads(json.dumps(endpoints().openapi()))
    schemas = description["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation, schemas))
    parts = [INTRODUCTION]
    for tag, operations in by_tag.items():
        parts += [f"## {tag}\n", *operations]
    own = [reason for reason in Reason if reason is not Reason.EMPTY]  # an empty text has an answer in our dialect
    parts.append(REFUSALS + "".join(f"| `{reason.code}` | {reason.status} |\n" for reason in own))
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    lines = [f"### {method.upper()} {path}", "", f"{operation['summary']}. {operation['description']}", ""]
    body = operation.get("requestBody")
    if body is not None:
        lines += _content("The request", body["content"], schemas)
    for status, response in operation["responses"].items():
        if status == "204":
            lines += ["The answer, 204, has no body.", ""]
        elif status.startswith("2"):
            lines += _content(f"The answer, {status},", response.get("content", {}), schemas)
    return "\n".join(lines)


def _content(role: str, content: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    schema = content.get("application/json", {}).get("schema")
    if not schema:
        return [f"{role} is text.", ""]
    lines = [f"{role} is {_kind(schema)}.", ""]
    for name in _named(schema, schemas):
        fields = schemas[name].get("properties", {})
        if not fields:
            continue
        lines += [f"| {name} | type | | example |", "|---|---|---|---|"]
        lines += [_field(field, facts, field in schemas[name].get("required", ())) for field, facts in fields.items()]
        lines.append("")
    return lines


def _field(name: str, facts: Mapping[str, Any], required: bool) -> str:
    meaning = facts.get("description", "")
    if not required:
        default = f", `{json.dumps(facts['default'])}` by default" if facts.get("default") is not None else ""
        meaning = f"{meaning} Optional{default}.".strip()
    examples = facts.get("examples")
    example = f"`{json.dumps(examples[0])}`" if examples else ""
    return f"| `{name}` | {_kind(facts)} | {meaning} | {example} |"


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema's type in words."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        items = _kind(schema.get("items", {}))
        return f"list of ({items})" if " or " in items else f"list of {items}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    return str(schema.get("type", "anything"))


def _named(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    """The names of the schemas that a schema is made of, the outer ones first."""
    found: dict[str, None] = {}

    def visit(part: object) -> None:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found[name] = None
                visit(schemas[name])
            for each in part.values():
                visit(each)
        elif isinstance(part, list):
            for each in part:
                visit(each)

    visit(schema)
    return iter(found)
