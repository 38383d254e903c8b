"""A service for tests of the stack: it has health, and echoes what reaches it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVICE = sys.argv[1]
#: What a worker of a service leaves behind unless it may end: Python's resource tracker is one.
LITTER = Path(tempfile.gettempdir()) / f"stand-in-{os.getpid()}"
WORKER = """
import os, signal, sys, time
def end(*_):
    os.unlink(sys.argv[1])
    os._exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").close()
time.sleep(3600)
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    dead = False
    worker = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == f"/{SERVICE}/break":
            Handler.dead = True
        answer = {
            "service": SERVICE,
            "version": "0.0.1",
            "checks": {},
            "path": self.path,
            "headers": dict(self.headers.items()),
            "environ": {k: os.environ.get(k) for k in ("NATS_URL", "MONGODB_URL", "LOG_FORMAT")},
            "pid": os.getpid(),
            "worker": Handler.worker,
            "litter": str(LITTER),
            "padding": "x" * 4096,
        }
        if path.startswith(f"/{SERVICE}/health/") and Handler.dead:
            self.answer(503, answer | {"checks": {"nats": "closed for good"}})
        else:
            self.answer(200, answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.answer(200, {"bytes": len(body)})

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        sys.stdout.write(
            json.dumps({"service": SERVICE, "level": "info", "event": "request"}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    # a child, as services have workers: it must not outlive its service
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(LITTER)])
    Handler.worker = worker.pid
    sys.stdout.write(f"{SERVICE} says something that is no JSON\n")
    address = (os.environ["HTTP_HOST"], int(os.environ["HTTP_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()
