"""docs/reference/metrics.md, from the classes that declare the metrics."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from imagesystem.metrics import Metrics
from prometheus_client import ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from generators.markdown import code, table
from generators.services import SERVICES, measures_of

__all__ = ["page"]

INTRO = """\
# Metrics

Every service answers `GET /<service>/metrics` in Prometheus's text format. Times are in seconds,
sizes in bytes. A histogram has `_bucket`, `_sum` and `_count`.

With several replicas of a service, the ingress answers with those of one of them: scrape each
process at its own port ([how](../how-to/watch-metrics.md)).

## Every service
"""
DECLARED = re.compile(
    r"((?:^ *#.*\n)*)^ *self\.(\w+) = (?:Counter|Gauge|Histogram|ProcessCollector)\(", re.MULTILINE
)


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO, _table(Metrics())]
    for service in SERVICES:
        kind = measures_of(service)
        if kind is not None:
            parts += [f"## {service}\n", _table(kind(Metrics()))]
        else:
            parts += [f"## {service}\n", "None besides those above.\n"]
    return "\n".join(parts)


def _table(declared: object) -> str:
    notes = _notes(type(declared))
    rows = [
        (
            code(name),
            kind,
            ", ".join(code(label) for label in labels),
            f"{text.rstrip('.')}. {notes.get(attribute, '')}".strip(),
        )
        for attribute, name, kind, labels, text in _metrics(declared)
    ]
    return table(("metric", "type", "labels", ""), rows)


def _metrics(declared: object) -> Iterator[tuple[str, str, str, tuple[str, ...], str]]:
    for attribute, value in vars(declared).items():
        if isinstance(value, MetricWrapperBase):
            family = next(iter(value.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = value._labelnames  # noqa: SLF001  there is no public way to ask
            yield attribute, name, family.type, tuple(labels), family.documentation
        elif isinstance(value, ProcessCollector):
            for family in value.collect():
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield attribute, name, family.type, (), family.documentation


def _notes(kind: type) -> dict[str, str]:
    """Return the comment above each metric's declaration."""
    return {
        attribute: " ".join(line.strip().lstrip("# ") for line in comment.splitlines())
        for comment, attribute in DECLARED.findall(inspect.getsource(kind))
    }
