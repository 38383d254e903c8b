"""One way to make an HTTP service: errors, health, metrics, OpenAPI, request ids, logs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, cast

import msgspec
import structlog
from litestar import Litestar, Response, get
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin, SwaggerRenderPlugin
from litestar.types import ControllerRouterHandler, Message, Send

from imagesystem import ids, logs, metrics, otlp, problems, tracing
from imagesystem.health import Health, Report
from imagesystem.metrics import Metrics
from imagesystem.requests import JsonRequest
from imagesystem.settings import ServiceSettings
from imagesystem.tracing import Recorder

__all__ = ["Lifespan", "Ready", "Shortcut", "create_app"]

Lifespan: TypeAlias = Callable[[Litestar], AbstractAsyncContextManager[None]]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that only needs sending; `route` is the template under which it counts."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    route: str


#: Looks at a request (its ASGI scope) before it is routed: its answer, what will be its answer (and
#: may raise what a route may), or None to have it routed.
Shortcut: TypeAlias = Callable[[Any], Ready | Awaitable[Ready] | None]

log = logs.get(__name__)


def create_app(
    *,
    settings: ServiceSettings,
    health: Health,
    measures: Metrics,
    routes: Sequence[ControllerRouterHandler],
    lifespan: Lifespan,
    dependencies: Mapping[str, Provide] | None = None,
    max_body_bytes: int | None = 1024 * 1024,
    shortcut: Shortcut | None = None,
) -> Litestar:
    """Return the app of one service: its routes, and what every service has.

    `max_body_bytes` bounds request bodies (413) unless a route sets its own; None: the routes
    read streams and count themselves. `lifespan` opens what the service needs and closes it.
    What `shortcut` answers is counted and logged like the rest, and takes a third of the time.
    """
    service = health.service
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    app = _ObservedApp(
        route_handlers=[*routes, *_common_routes(service, health, measures)],
        lifespan=[_tracing(settings, health), lifespan],
        dependencies=dict(dependencies or {}),
        exception_handlers=problems.HANDLERS,
        request_class=JsonRequest,
        request_max_body_size=max_body_bytes,
        cors_config=CORSConfig(allow_origins=origins) if origins else None,
        openapi_config=OpenAPIConfig(
            title=f"image-system {service}",
            version=health.version,
            path=f"/{service}/schema",
            render_plugins=[ScalarRenderPlugin(), SwaggerRenderPlugin()],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    app.observe(measures, service, shortcut)
    return app


def _tracing(settings: ServiceSettings, health: Health) -> Lifespan:
    """Return what records spans, of requests and of all that is started with the app."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with otlp.exporting(health.service, health.version, settings) as recorder:
            cast("_ObservedApp", app).trace(recorder)
            yield

    return lifespan


def _common_routes(
    service: str, health: Health, measures: Metrics
) -> list[ControllerRouterHandler]:
    def answer(report: Report) -> Response[Report]:
        good = report.status in ("live", "ready")
        return Response(
            report, status_code=200 if good else 503, headers={"cache-control": "no-store"}
        )

    @get(f"/{service}/health/live", tags=["health"])
    async def live() -> Response[Report]:
        """Say whether the process works (503: restart it)."""
        return answer(await health.live())

    @get([f"/{service}/health/ready", f"/{service}/health"], tags=["health"])
    async def ready() -> Response[Report]:
        """Say whether everything it needs is there (503: what is missing)."""
        return answer(await health.ready())

    @get(f"/{service}/metrics", tags=["health"], media_type=metrics.CONTENT_TYPE)
    async def show_metrics() -> Response[bytes]:
        """Return the metrics in Prometheus's text format."""
        return Response(metrics.render(measures), media_type=metrics.CONTENT_TYPE)

    return [live, ready, show_metrics]


class _ObservedApp(Litestar):
    """Every request, matched or not: ids and trace bound, one log line, one measurement.

    Not a Litestar middleware, because those do not run for paths that no route matches.
    """

    _recorder: Recorder | None = None

    def observe(self, measures: Metrics, service: str, shortcut: Shortcut | None) -> None:
        """Say where measurements go, and what is asked before the routes."""
        self._measures, self._service, self._shortcut = measures, service, shortcut

    def trace(self, recorder: Recorder | None) -> None:
        """Say where spans go."""
        self._recorder = recorder

    def _unobserved(self, path: str) -> bool:
        return path.startswith((f"/{self._service}/health", f"/{self._service}/metrics"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != ScopeType.HTTP:
            await super().__call__(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = tracing.request_id(given) or ids.new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        status, started = 0, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        structlog.contextvars.clear_contextvars()
        tracing.recording(None if self._unobserved(scope["path"]) else self._recorder)
        context = {
            name: headers.get(name.encode(), b"").decode("latin-1")
            for name in ("traceparent", "tracestate")
        }
        with tracing.entering(
            context | {"x-request-id": request_id}, scope["method"], "server", _asked(scope)
        ) as span:
            try:
                ready = self._shortcut(scope) if self._shortcut is not None else None
                if ready is None:
                    await super().__call__(scope, receive, sending)
                else:
                    if not isinstance(ready, Ready):
                        ready = await _awaited(ready, scope)
                    scope["path_template"] = ready.route or scope.get("path_template")
                    await _send(ready, sending)
            finally:
                seconds = time.perf_counter() - started
                _answered(span, scope, status)
                _record(self._measures, self._service, scope, status, seconds)


async def _awaited(coming: Awaitable[Ready], scope: Any) -> Ready:
    """Return the answer, or what says why there is none."""
    try:
        return await coming
    except Exception as error:  # noqa: BLE001  as of routes: each kind is told in its own way
        refusal = problems.answer(JsonRequest(scope), error)
        headers = refusal.headers | {
            "content-type": refusal.media_type or "",
            "content-length": str(len(refusal.content)),
        }
        raw = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
        return Ready(status=refusal.status_code or 500, headers=raw, body=refusal.content, route="")


async def _send(ready: Ready, send: Send) -> None:
    await send(
        {"type": "http.response.start", "status": ready.status, "headers": list(ready.headers)}
    )
    await send({"type": "http.response.body", "body": ready.body, "more_body": False})


def _asked(scope: Any) -> tracing.Attributes:
    version = scope.get("http_version", "1.1")
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": version,
    }


def _answered(span: tracing.Span, scope: Any, status: int) -> None:
    """Say on the span of a request which route it was and how it was answered."""
    route = scope.get("path_template")
    if route:
        span.named(f"{scope['method']} {route}")
        span.set({"http.route": route})
    if status:
        span.set({"http.response.status_code": status})
    if status >= 500 or not status:
        span.failed(str(status or "disconnected"))


def _record(measures: Metrics, service: str, scope: Any, status: int, seconds: float) -> None:
    method = scope["method"]
    route = scope.get("path_template") or "unmatched"
    measures.requests.labels(method, route, str(status)).inc()
    measures.request_seconds.labels(method, route).observe(seconds)
    quiet = route.startswith((f"/{service}/health", f"/{service}/metrics")) and status < 500
    (log.debug if quiet else log.info)(
        "request",
        method=method,
        path=scope["path"],
        status=status or "disconnected",
        ms=round(seconds * 1000, 2),
    )
