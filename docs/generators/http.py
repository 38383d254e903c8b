"""docs/reference/http.md, from the OpenAPI description of every service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generators.markdown import code, table
from generators.services import SERVICES, app_of

__all__ = ["page"]

INTRO = """\
# HTTP

One port, 8011 by default. The path says which service answers. This page is made from the
services' OpenAPI descriptions, which are served too: `/<service>/schema/openapi.json`, and for
people `/<service>/schema`.

JSON is in snake_case, times are RFC 3339 in UTC. Every answer has an `X-Request-ID`; one that you
send is kept. Errors are `application/problem+json` (RFC 9457) with a stable `code`, and are never
cacheable. For a limit they name it, with its value and yours ([limits](limits.md)).

## Every service

| method and path | does |
|---|---|
| `GET /<service>/health/live` | 200 while the process works, 503 if it should be restarted |
| `GET /<service>/health/ready` | 200 if all it needs is there, else 503 and what is missing |
| `GET /<service>/health` | the same |
| `GET /<service>/metrics` | [metrics](metrics.md) in Prometheus's text format |
| `GET /<service>/schema` | this description, for people; `/schema/openapi.json` for programs |
"""
METHODS = ("get", "head", "post", "put", "patch", "delete")
COMMON = ("health", "metrics", "schema")


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO]
    for service in SERVICES:
        schema = app_of(service).openapi_schema.to_schema()
        parts.append(f"## {service}\n")
        used: list[str] = []
        for path, method, operation in _operations(schema):
            parts.append(_operation(path, method, operation, schema, used))
        parts += _structs(service, schema, used)
    return "\n".join(parts)


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in sorted(schema["paths"].items()):
        if path.split("/")[2:3] and path.split("/")[2] in COMMON:
            continue
        for method in METHODS:
            if method in item and not (method == "head" and "get" in item):
                also = ", HEAD" if method == "get" and "head" in item else ""
                yield path, method.upper() + also, item[method]


def _operation(
    path: str, method: str, operation: dict[str, Any], schema: dict[str, Any], used: list[str]
) -> str:
    parts = [f"### {method} {path}\n", _sentence(operation.get("summary", ""))]
    description = operation.get("description", "")
    parts += [" ".join(part.split()) + "\n" for part in description.split("\n\n") if part.strip()]
    if given := [_parameter(each, schema, used) for each in operation.get("parameters", [])]:
        parts.append(table(("parameter", "in", "type", ""), given))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        body = content.get("schema", {})
        parts.append(f"Body `{media_type}`: {_type(body, schema, used)}\n")
        if "properties" in body:
            parts.append(_properties(body, schema, used))
    rows = [
        (status, answer.get("description", ""), _answer_type(answer, schema, used))
        for status, answer in sorted(operation.get("responses", {}).items())
    ]
    parts.append(table(("status", "", "body"), rows))
    return "\n".join(part for part in parts if part)


def _sentence(text: str) -> str:
    # one word is the handler's name, which Litestar puts there when nobody said anything
    return text.strip().rstrip(".") + ".\n" if " " in text.strip() else ""


def _parameter(
    parameter: dict[str, Any], schema: dict[str, Any], used: list[str]
) -> tuple[str, str, str, str]:
    kind = _type(parameter.get("schema", {}), schema, used)
    required = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
    text = parameter.get("description") or parameter.get("schema", {}).get("description", "")
    return code(parameter["name"]), str(parameter["in"]), kind + required, str(text)


def _answer_type(answer: dict[str, Any], schema: dict[str, Any], used: list[str]) -> str:
    found: dict[str, list[str]] = {}
    for media_type, content in answer.get("content", {}).items():
        found.setdefault(_type(content.get("schema", {}), schema, used), []).append(media_type)
    return "; ".join(
        f"{kind} as {', '.join(code(each) for each in media_types)}"
        for kind, media_types in found.items()
    )


def _structs(service: str, schema: dict[str, Any], used: list[str]) -> list[str]:
    """Return the structs that were spoken of, and those they are made of."""
    parts: list[str] = []
    known = schema.get("components", {}).get("schemas", {})
    for name in used:  # grows while their fields are described
        if not parts:
            parts.append(f"### What {service}'s bodies are made of\n")
        body = known[name]
        parts.append(f"#### {body.get('title', name)}\n")
        parts.append(" ".join(body.get("description", "").split()) + "\n")
        parts.append(_properties(body, schema, used))
    return [part for part in parts if part.strip()]


def _properties(body: dict[str, Any], schema: dict[str, Any], used: list[str]) -> str:
    required = set(body.get("required", ()))
    rows = [
        (
            code(name),
            _type(each, schema, used),
            "required" if name in required else "",
            each.get("description", ""),
        )
        for name, each in body.get("properties", {}).items()
    ]
    return table(("field", "type", "", ""), rows) if rows else ""


def _type(each: dict[str, Any], schema: dict[str, Any], used: list[str]) -> str:
    """Return a JSON schema in words; named structs are noted in `used`."""
    if "$ref" in each:
        name = each["$ref"].rpartition("/")[2]
        if name not in used:
            used.append(name)
        return code(schema["components"]["schemas"][name].get("title", name))
    several = each.get("oneOf") or each.get("anyOf")
    if several:
        kinds = [_type(one, schema, used) for one in several]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    if "const" in each or "enum" in each:
        return " or ".join(code(value) for value in each.get("enum", [each.get("const")]))
    if each.get("type") == "array":
        return f"list of {_type(each.get('items', {}), schema, used)}"
    return _plain(each)


def _plain(each: dict[str, Any]) -> str:
    """Return a schema without parts in words, with its bounds."""
    kind = each.get("type", "")
    if isinstance(kind, list):
        return " or ".join(kind)
    if each.get("format") == "binary":
        return "bytes"
    more = [str(each["format"])] if "format" in each else []
    low, high = each.get("minimum"), each.get("maximum")
    if low is not None or high is not None:
        more.append(f"{'' if low is None else low}–{'' if high is None else high}")
    return f"{kind} ({', '.join(more)})" if more else str(kind)
