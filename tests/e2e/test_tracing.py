"""One upload, seen from outside: its trace, its log lines, what is measured of it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from imagesystem.topology import SERVICES
from prometheus_client.parser import text_string_to_metric_families

from tests.collector import Collector, Span, collecting
from tests.pictures import picture
from tests.system import PATIENCE_S, System, running_system

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def traced(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("traced")
    async with running_system(folder, {"OTLP_ENDPOINT": collector.url}) as system:
        yield system


class Upload:
    """An upload with ids that its client chose, and the id of its image."""

    def __init__(self, *, sampled: bool) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.request_id = f"shop-{secrets.token_hex(4)}"
        self.headers = {
            "traceparent": f"00-{self.trace_id}-{self.span_id}-{int(sampled):02x}",
            "tracestate": "shop=42",
            "x-request-id": self.request_id,
        }
        self.size = 0
        self.image_id = ""
        self.facts = 0

    async def send(self, system: System) -> Upload:
        """Upload a picture and wait until it is ready."""
        async with httpx.AsyncClient(base_url=system.url, timeout=60) as http:
            data = picture(secrets.randbits(60))
            form = {"file": ("p.jpg", data)}
            answer = await http.post("/registry/upload", files=form, headers=self.headers)
            assert answer.status_code == 201, answer.text
            assert answer.headers["x-request-id"] == self.request_id
            self.size, self.image_id = len(data), answer.json()["id"]
            document = await system.ready(http, self.image_id)
        # uploaded, planned, and an answer for every task
        self.facts = 2 + len(document["inferred"])
        return self


async def until_complete(collector: Collector, upload: Upload) -> list[Span]:
    """Return a trace once its last span has come: each service sends its spans once a second.

    What is above a span ends last, so that what is beneath has come with it or before it.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            spans = collector.trace(upload.trace_id)
            handled = [span for span in spans if span.service == "metadata"]
            known = {span.span_id for span in spans} | {upload.span_id}
            whole = all(span.parent in known for span in spans)
            if whole and sum(span.kind == "consumer" for span in handled) >= upload.facts:
                return spans
            await asyncio.sleep(0.1)


async def test_one_upload_is_one_trace(traced: System, collector: Collector) -> None:
    upload = await Upload(sampled=True).send(traced)
    spans = await until_complete(collector, upload)
    by_id = {span.span_id: span for span in spans}

    def path(span: Span) -> list[tuple[str, str]]:
        above = by_id.get(span.parent)
        return [*(path(above) if above else []), (span.service, span.name)]

    paths = [path(span) for span in spans]
    request = [("registry", "POST /registry/upload")]
    said = [*request, ("registry", "announce"), ("registry", "publish images.v1.uploaded")]
    heard = [*said, ("inference", "handle images.v1.uploaded")]
    told = [*heard, ("inference", "publish images.v1.inferred.analysis")]
    kept = [*told, ("metadata", "handle images.v1.inferred.analysis")]
    for expected in (
        [*request, ("registry", "store"), ("registry", "put originals")],
        [*said, ("metadata", "handle images.v1.uploaded"), ("metadata", "write images")],
        [*heard, ("inference", "get originals")],
        [*heard, ("inference", "publish images.v1.planned")],
        [*kept, ("metadata", "write images")],
    ):
        assert expected in paths
    # in worker processes, beneath the call that waited for one
    assert {"decode", "infer analysis"} <= {
        steps[-1][1] for steps in paths if steps[: len(heard)] == heard
    }

    root = next(span for span in spans if span.parent == upload.span_id)
    assert (root.kind, root.attributes["http.response.status_code"]) == ("server", 201)
    assert root.attributes["http.route"] == "/registry/upload"
    assert {span.tracestate for span in spans} == {"shop=42"}
    assert not [span.name for span in spans if span.failed]
    kinds = {span.name.split(" ")[0]: span.kind for span in spans}
    assert (kinds["publish"], kinds["handle"]) == ("producer", "consumer")
    assert (kinds["put"], kinds["write"]) == ("client", "client")
    [put] = [span for span in spans if span.name == "put originals"]
    assert put.attributes["imagesystem.object.size"] == upload.size
    assert all(span.end_ns >= span.start_ns for span in spans)


async def test_what_a_client_does_not_want_traced_is_not(
    traced: System, collector: Collector
) -> None:
    quiet = await Upload(sampled=False).send(traced)
    loud = await Upload(sampled=True).send(traced)
    await until_complete(collector, loud)
    assert not collector.trace(quiet.trace_id)
    facts = await traced.facts(quiet.image_id)
    assert len(facts) == quiet.facts
    for fact in facts:
        _, trace_id, _, flags = fact.headers["traceparent"].split("-")
        assert (trace_id, flags) == (quiet.trace_id, "00"), "its ids go on all the same"
        assert fact.headers["tracestate"] == "shop=42"


async def test_health_and_metrics_are_not_traced(traced: System, collector: Collector) -> None:
    async with httpx.AsyncClient(base_url=traced.url) as http:
        for path in ("/registry/health/ready", "/registry/metrics", "/registry/health/live"):
            assert (await http.get(path)).status_code == 200
    upload = await Upload(sampled=True).send(traced)
    await until_complete(collector, upload)
    routes = {str(span.attributes.get("http.route", "")) for span in collector.spans()}
    assert not [route for route in routes if "health" in route or "metrics" in route]


def lines_of(folder: Path, request_id: str) -> Iterator[dict[str, Any]]:
    """Yield what all services logged about a request."""
    for log in (folder / "logs").glob("*.log"):
        for line in log.read_text().splitlines():
            if request_id in line:
                yield json.loads(line)


async def test_the_log_lines_of_an_upload_are_found_by_its_request_id(traced: System) -> None:
    upload = await Upload(sampled=True).send(traced)

    async def logged() -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = list(lines_of(traced.stack.data_dir, upload.request_id))
                if {"registry", "inference", "metadata"} <= {line["service"] for line in found}:
                    return found
                await asyncio.sleep(0.1)

    lines = await logged()
    assert {line["request_id"] for line in lines} == {upload.request_id}
    assert {line["trace_id"] for line in lines} == {upload.trace_id}
    events = {(line["service"], line["event"]) for line in lines}
    assert ("metadata", "image_ready") in events
    assert {line["image_id"] for line in lines if line["service"] != "registry"} == {
        upload.image_id
    }


async def measured(http: httpx.AsyncClient, service: str) -> dict[str, float]:
    """Return the samples of a service by name and labels."""
    text = (await http.get(f"/{service}/metrics")).text
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_an_upload_is_measured_by_every_service_it_meets(traced: System) -> None:
    async with httpx.AsyncClient(base_url=traced.url, timeout=60) as http:
        before = {service: await measured(http, service) for service in SERVICES}
        upload = await Upload(sampled=True).send(traced)
        after = {service: await measured(http, service) for service in SERVICES}

    def grown(service: str, name: str) -> float:
        return after[service].get(name, 0) - before[service].get(name, 0)

    assert grown("registry", "objects_written_bytes_total['originals']") == upload.size
    assert grown("inference", "objects_read_bytes_total['originals']") == upload.size
    assert grown("inference", "image_processing_duration_seconds_count['analysis']") == 1
    assert grown("inference", "events_handled_total['done', 'inference-uploaded']") == 1
    assert grown("inference", "event_age_seconds_count['inference-uploaded']") == 1
    assert grown("metadata", "upload_to_ready_seconds_count['ready']") == 1
    seconds = grown("metadata", "upload_to_ready_seconds_sum['ready']")
    assert 0 < seconds < PATIENCE_S
    for service in SERVICES:
        assert after[service]["process_resident_memory_bytes[]"] > 0
    assert after["metadata"]["consumer_pending_messages['metadata-facts']"] == 0
