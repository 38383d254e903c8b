"""NATS and MongoDB in containers, as processes that a test may stop, kill and start again."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Every container is removed where it was started; the reaper's image is one more to pull.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

NATS_IMAGE = "nats:2.12-alpine"
MONGODB_IMAGE = "mongo:7.0"


class ContainerProcess:
    """A container behind the few methods of `subprocess.Popen` that tests use.

    It shares the host's network, so that servers find each other (clusters) and their clients at
    the same addresses as without a container, also after a restart. `folder` is at the same path
    inside: that is where configurations and certificates are.
    """

    def __init__(self, image: str, command: list[str], folder: Path | None = None) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415  only here

        self.container: DockerContainer = DockerContainer(image).with_command(command)
        self.container.with_kwargs(network_mode="host")
        if folder is not None:
            # what it writes there belongs to whoever runs the tests
            user = f"{os.getuid()}:{os.getgid()}"
            self.container.with_kwargs(network_mode="host", user=user)
            self.container.with_volume_mapping(str(folder), str(folder), "rw")
        self.started = False

    @property
    def returncode(self) -> int | None:
        wrapped = self.container.get_wrapped_container()
        wrapped.reload()
        state = wrapped.attrs["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def start(self) -> None:
        """Start it, the first time or again on the data it has."""
        if self.started:
            self.container.get_wrapped_container().start()
        else:
            self.container.start()
            self.started = True

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float) -> int:
        import requests  # noqa: PLC0415  comes with testcontainers

        try:
            return int(self.container.get_wrapped_container().wait(timeout=timeout)["StatusCode"])
        except requests.exceptions.RequestException as error:
            raise subprocess.TimeoutExpired("container", timeout) from error

    def kill(self) -> None:
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        self.container.get_wrapped_container().kill(signal=number.name)

    def logs(self) -> str:
        return b"".join(self.container.get_logs()).decode(errors="replace")

    def remove(self) -> None:
        self.container.stop()


def require_engine() -> None:
    """Skip with the reason where no container can be started."""
    from tests.containers.engine import reason_to_skip  # noqa: PLC0415  only here

    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)
