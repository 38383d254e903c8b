"""Migrations asked for from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from local_stack import migrations
from local_stack.errors import StackError
from rich.console import Console


class Service(HTTPServer):
    """Answers like the metadata service."""

    lines: tuple[dict[str, object], ...] = ()
    asked = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Service)
        self.server.asked = self.path
        self.send_response(200)
        self.end_headers()
        for line in self.server.lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        del format, arguments


@pytest.fixture
def service() -> Iterator[Service]:
    with Service(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_it_says_what_it_did(service: Service):
    counts = {"seen": 10, "outdated": 4, "written": 4, "ended": True}
    service.lines = ({"seen": 5, "outdated": 2}, counts)
    last = migrations.run(service.url, Console(), dry_run=False)
    assert service.asked == "/metadata/migrations?dry_run=false"
    assert migrations.sum_up(last, dry_run=False) == "10 documents: 4 migrated, 6 up to date"


def test_a_dry_run_says_what_it_would_do(service: Service):
    service.lines = ({"seen": 10, "outdated": 4, "ended": True},)
    last = migrations.run(service.url, Console(), dry_run=True)
    assert service.asked == "/metadata/migrations?dry_run=true"
    assert migrations.sum_up(last, dry_run=True) == "10 documents: 4 to migrate, 6 up to date"


def test_one_that_broke_off_is_an_error(service: Service):
    service.lines = ({"seen": 5}, {"code": "unavailable", "error": "mongodb is not available"})
    with pytest.raises(StackError, match="mongodb is not available"):
        migrations.run(service.url, Console(), dry_run=False)
    service.lines = ({"seen": 5},)
    with pytest.raises(StackError, match="ended early"):
        migrations.run(service.url, Console(), dry_run=False)


def test_nobody_there():
    with pytest.raises(StackError, match="does not answer"):
        migrations.run("http://127.0.0.1:9", Console(), dry_run=True)
