"""Every metric is named as Prometheus wants it, says what it is, and is in the reference."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from imagesystem.metrics import Metrics
from imagesystem.topology import SERVICES
from prometheus_client import CollectorRegistry, Metric

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generators import metrics as page  # noqa: E402
from generators.services import measures_of  # noqa: E402

#: The base units that times and sizes are in, and `messages`, which are counted.
UNITS = ("seconds", "bytes", "ratio", "messages")
#: Kept for dashboards of the systems before this one: a score is a ratio by another name.
KEPT = {"ocr_confidence_score"}
#: Units that are not base units, and what the formats add by themselves.
WRONG = re.compile(
    r"(_|^)(ms|milliseconds|us|minutes|hours|kb|mb|kilobytes|megabytes|percent)(_|$)"
    r"|_(bucket|count|sum|info|created)$"
)
OWN = re.compile(r"[a-z][a-z0-9_]*")


def registries() -> Iterator[tuple[str, CollectorRegistry]]:
    for service in SERVICES:
        metrics = Metrics()
        kind = measures_of(service)
        if kind is not None:
            kind(metrics)
        yield service, metrics.registry


def declared() -> dict[str, Metric]:
    return {family.name: family for _, registry in registries() for family in registry.collect()}


@pytest.mark.parametrize("name", sorted(declared()))
def test_names_are_as_prometheus_wants_them(name: str) -> None:
    family = declared()[name]
    assert OWN.fullmatch(name)
    assert not WRONG.search(name), "base units only, and no suffix that a format adds"
    assert len(family.documentation) > 10, "it says what it is"
    if family.type == "histogram":
        assert name.endswith(UNITS) or name in KEPT, "a distribution of what?"
    if family.type == "counter":
        assert not name.endswith("total"), "the format adds it"
    else:
        assert not name.endswith("_total"), "only counters are totals"


def test_labels_are_names_of_their_own() -> None:
    for _, registry in registries():
        for collector in registry._collector_to_names:
            for label in getattr(collector, "_labelnames", ()):
                assert OWN.fullmatch(label)
                assert label not in ("le", "quantile", "job", "instance")


def test_a_metric_means_the_same_everywhere() -> None:
    seen: dict[str, tuple[str, str]] = {}
    for service, registry in registries():
        for family in registry.collect():
            said = (family.type, family.documentation)
            assert seen.setdefault(family.name, said) == said, f"{family.name} in {service}"


def test_every_metric_is_in_the_reference() -> None:
    text = page.page(ROOT)
    for name, family in declared().items():
        shown = f"{name}_total" if family.type == "counter" else name
        assert f"| `{shown}` |" in text


def test_the_names_that_dashboards_ask_for_are_kept() -> None:
    families = declared()
    kept = {
        "http_requests": "counter",
        "image_processing_duration_seconds": "histogram",
        "tasks_queued": "counter",
        "ocr_confidence_score": "histogram",
        "objects_detected": "counter",
    }
    assert {name: families[name].type for name in kept} == kept


def test_alerts_ask_for_metrics_that_there_are() -> None:
    families = declared()
    known = {"up"}
    for name, family in families.items():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        known |= {f"{name}{suffix}" for suffix in suffixes.get(family.type, ("",))}
    rules = yaml.safe_load((ROOT / "deploy/telemetry/rules.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", "", rule["expr"])
        asked = set(re.findall(r"[a-z_]{2,}", bare)) - FUNCTIONS
        assert asked, rule["alert"]
        assert asked <= known, rule["alert"]


FUNCTIONS = {"sum", "max", "rate", "increase", "histogram_quantile", "by"}
