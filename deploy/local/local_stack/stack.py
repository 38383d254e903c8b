"""The stack of one data folder: from an empty folder to an open port, and back."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType

from imagesystem.topology import SERVICES

from local_stack import binaries, credentials, ports, processes, state
from local_stack.errors import StackError
from local_stack.logstream import LogStream, Printer
from local_stack.nats_config import SUBSCRIBER
from local_stack.parts import CommandOf, Plan, nats_url, part_names, service_command, table
from local_stack.ports import LOOPBACK
from local_stack.readiness import wait_ready
from local_stack.state import PartState, Phase, StackState
from local_stack.supervisor import Supervisor

__all__ = ["Stack"]

_LEAST_FREE_BYTES = 512 * 1024 * 1024
_NATS_SYNC = re.compile(r"always|\d+s")


class Stack:
    """Everything the system needs, running; a context manager.

    `port` and `nats_port` are opened on loopback (0: any free port); `scale` says how many
    replicas a service has, where it is not one. `environ` (default: this process's) is what the
    parts inherit, and may set `MONGODB_URL` (then no mongod is started), `NATS_SYNC` and
    `NATS_MAX_FILE_STORE`. `show` gets the merged log; `changed` is called on every change of
    state. `command_of` returns the command of a service.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 8011,
        nats_port: int = 4222,
        scale: Mapping[str, int] | None = None,
        environ: Mapping[str, str] | None = None,
        show: Printer | None = None,
        changed: Callable[[StackState], None] | None = None,
        command_of: CommandOf = service_command,
        start_timeout_s: float = 180.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._asked = (port, nats_port)
        self._replicas = dict.fromkeys(SERVICES, 1) | dict(scale or {})
        self._environ = dict(os.environ if environ is None else environ)
        self._show = show
        self._on_change = changed
        self._command_of = command_of
        self._start_timeout_s = start_timeout_s
        self._exits = AsyncExitStack()
        self._phase: Phase = "starting"
        self._plan: Plan | None = None
        self._supervisor: Supervisor | None = None

    # What it is.

    @property
    def plan(self) -> Plan:
        """What this run is made of; set once it starts."""
        if self._plan is None:
            raise StackError("the stack was not started")
        return self._plan

    @property
    def supervisor(self) -> Supervisor:
        """Who keeps the parts running; set once it starts."""
        if self._supervisor is None:
            raise StackError("the stack was not started")
        return self._supervisor

    @property
    def url(self) -> str:
        """The base URL of the one port."""
        return f"http://{LOOPBACK}:{self.plan.ports['traefik']}"

    @property
    def subscriber_url(self) -> str:
        """NATS URL of the read-only subscriber."""
        return self.nats_url(SUBSCRIBER)

    def nats_url(self, user: str) -> str:
        """Return the NATS URL of a service's user."""
        return nats_url(self.plan, user)

    @property
    def parts(self) -> dict[str, PartState]:
        """The state of every part, by name."""
        return {part.name: part for part in self.supervisor.states}

    # What it does.

    async def __aenter__(self) -> Stack:
        await self.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and wait until it is ready, also through the one port.

        Raises `StackError`; whatever was started is then stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything, the ingress first, the servers last."""
        if self._supervisor is not None and self._phase != "stopped":
            self._set_phase("stopping")
        await self._exits.aclose()

    def abort(self) -> None:
        """Kill everything at once: what a second Ctrl-C does."""
        if self._supervisor is not None:
            self._supervisor.abort()

    async def wait_ready(self, *names: str) -> None:
        """Wait until the parts `names` (none given: all) are ready."""
        await self.supervisor.wait_ready(names)

    async def kill(self, name: str) -> int:
        """Kill the part `name` with SIGKILL; returns the pid it had, once it is gone.

        It is restarted by itself: `wait_ready(name)` waits for the next process.
        """
        keeper = self.supervisor.keeper(name)
        if (pid := keeper.state.pid) is None:
            raise StackError(f"{name} does not run")
        keeper.kill()
        await keeper.gone.wait()
        return pid

    async def hold(self, name: str) -> None:
        """Stop the part `name` and keep it stopped until `resume`."""
        keeper = self.supervisor.keeper(name)
        await keeper.wish("hold")
        await keeper.gone.wait()

    async def resume(self, name: str) -> None:
        """Start a held part again, and wait until it is ready."""
        await self.supervisor.keeper(name).wish("run")
        await self.supervisor.wait_ready([name])

    # How.

    async def _start(self) -> None:
        prepare_folder(self.data_dir)
        self._exits.callback(state.hold(self.data_dir).close)
        stream = LogStream(self.data_dir / "logs", self._show)
        self._exits.callback(stream.close)
        before = state.read(self.data_dir)
        if before is not None:
            left = [part.process for part in before.parts if part.process]
            pids = await asyncio.to_thread(processes.end_leftovers, left)
            if pids:
                stream.say("leftovers_stopped", level="warning", pids=pids)
        programs, versions = await self._find_programs()
        port, nats_port = self._asked
        listener = ports.listen(port, "--port")
        self._exits.callback(listener.close)
        self._phase = "starting"
        self._plan = self._make_plan(
            programs, versions, port=listener.getsockname()[1], nats_port=nats_port
        )
        self._supervisor = Supervisor(
            table(self._plan), stream, self._report, socket=listener.fileno()
        )
        self._exits.callback(self._set_phase, "stopped")
        self._exits.push_async_callback(self._supervisor.stop)
        # closed before Traefik stops: nobody may queue at a port that no one serves
        self._exits.callback(listener.close)
        self._report()
        await self._supervisor.start(self._start_timeout_s)
        await self._wait_for_routes()
        self._set_phase("running")

    async def _find_programs(self) -> tuple[dict[str, Path], dict[str, str]]:
        wanted = [
            name
            for name in binaries.BINARIES
            if not (name == "mongod" and self._environ.get("MONGODB_URL"))
        ]
        programs = {name: binaries.locate(name) for name in wanted}
        versions = await asyncio.gather(
            *(asyncio.to_thread(binaries.version_of, *found) for found in programs.items())
        )
        return programs, dict(zip(wanted, versions, strict=True))

    def _make_plan(
        self, programs: dict[str, Path], versions: dict[str, str], *, port: int, nats_port: int
    ) -> Plan:
        mongodb_url = self._environ.get("MONGODB_URL") or None
        sync = self._environ.get("NATS_SYNC") or "120s"
        if not _NATS_SYNC.fullmatch(sync):
            raise StackError(f"NATS_SYNC={sync!r}: give seconds as `120s`, or `always`")
        chosen = {"traefik": port, "nats": ports.require_free(nats_port, "--nats-port")}
        names = part_names(self._replicas, with_mongodb=mongodb_url is None)
        inside = [name for name in (*names, "nats-monitor") if name not in chosen]
        return Plan(
            data_dir=self.data_dir,
            environ={k: v for k, v in self._environ.items() if k != "MONGODB_URL"},
            credentials=credentials.load_or_create(self.data_dir / "credentials.json"),
            ports=chosen | dict(zip(inside, ports.free_ports(len(inside)), strict=True)),
            replicas=self._replicas,
            programs=programs,
            versions=versions,
            mongodb_url=mongodb_url,
            nats_sync=sync,
            nats_max_file_store=self._room_for_nats(),
            command_of=self._command_of,
        )

    def _room_for_nats(self) -> int:
        """Return three quarters of what JetStream has and could have, as nats-server does.

        Its own default forgets what it has stored already, and shrinks with every restart.
        """
        asked = self._environ.get("NATS_MAX_FILE_STORE", "")
        if asked and not asked.isdigit():
            raise StackError(f"NATS_MAX_FILE_STORE={asked!r}: give a number of bytes")
        if asked:
            return int(asked)
        stored = sum(
            path.stat().st_size for path in (self.data_dir / "nats").rglob("*") if path.is_file()
        )
        return (stored + shutil.disk_usage(self.data_dir).free) * 3 // 4

    async def _wait_for_routes(self) -> None:
        """Wait until each service is ready as seen from outside."""
        for service in SERVICES:
            route = f"{self.url}/{service}/health/ready"
            try:
                async with asyncio.timeout(self._start_timeout_s):
                    await wait_ready(route)
            except TimeoutError as error:
                raise StackError(
                    f"{route} is not ready after {self._start_timeout_s:g} s; "
                    f"Traefik's log: {self.data_dir / 'logs' / 'traefik.log'}"
                ) from error

    def _set_phase(self, phase: Phase) -> None:
        self._phase = phase
        self._report()

    def _report(self) -> None:
        """Write the state down, and tell who wants to know."""
        supervisor = processes.identify(os.getpid())
        if supervisor is None or self._supervisor is None:
            return
        now = StackState(
            phase=self._phase,
            supervisor=supervisor,
            url=self.url,
            nats_port=self.plan.ports["nats"],
            parts=self._supervisor.states,
        )
        with suppress(OSError):  # a full disk: the stack goes on, `status` sees what was
            state.write(self.data_dir, now)
        if self._on_change is not None:
            self._on_change(now)


def prepare_folder(data_dir: Path) -> None:
    """Make the data folder; raises `StackError` if it cannot be written or the disk is full."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
        trial = data_dir / ".trial"
        trial.write_bytes(b"x" * 4096)
        trial.unlink()
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        raise StackError(
            f"cannot write to {data_dir} ({error.strerror}): choose another place with --data-dir"
        ) from error
    if free < _LEAST_FREE_BYTES:
        raise StackError(
            f"only {free // 1024**2} MiB are free where {data_dir} is: make room, or choose "
            "another place with --data-dir"
        )
