"""The stack of one data folder: from an empty folder to an open port, and back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType

from imagesystem.topology import SERVICES

from local_stack import clusters, homes, ports, processes, state
from local_stack.errors import StackError
from local_stack.logstream import LogStream, Printer
from local_stack.nats_config import SUBSCRIBER
from local_stack.parts import NATS_CONFIG, CommandOf, Plan, nats_url, service_command, table
from local_stack.planning import make_plan, prepare_folder
from local_stack.ports import LOOPBACK
from local_stack.readiness import wait_ready
from local_stack.state import PartState, Phase, StackState
from local_stack.supervisor import Supervisor

__all__ = ["Stack"]


class Stack:
    """Everything the system needs, running; a context manager.

    `port` and `nats_port` are opened on loopback (0: any free port); `scale` says how many
    replicas a service has, where it is not one; `nats` may have 3 or 5, which are a cluster.
    `environ` (default: this process's) is what the parts inherit, and may set `MONGODB_URL` (then
    no mongod is started), `NATS_SYNC` and `NATS_MAX_FILE_STORE`. `show` gets the merged log;
    `changed` is called on every change of state. `command_of` returns the command of a service.
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
        """Return the NATS URL of a service's user; of a cluster, one per server, by commas."""
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
        keeper.crash()
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
        port, nats_port = self._asked
        listener = ports.listen(port, "--port")
        self._exits.callback(listener.close)
        self._phase = "starting"
        self._plan = await make_plan(
            self.data_dir,
            environ=self._environ,
            port=listener.getsockname()[1],
            nats_port=nats_port,
            replicas=self._replicas,
            command_of=self._command_of,
        )
        self._supervisor = Supervisor(
            table(self._plan), stream, self._report, socket=listener.fileno()
        )
        homes.place(self.data_dir, NATS_CONFIG)
        clusters.place(
            self.data_dir,
            NATS_CONFIG.name,
            self._plan.nats,
            self._plan.ports,
            self._plan.credentials.nats[clusters.USER],
        )
        self._exits.callback(self._set_phase, "stopped")
        self._exits.push_async_callback(self._supervisor.stop)
        # closed before Traefik stops: nobody may queue at a port that no one serves
        self._exits.callback(listener.close)
        self._report()
        await self._supervisor.start(self._start_timeout_s)
        await self._wait_for_routes()
        self._set_phase("running")

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
            nats_port=self.plan.ports[self.plan.nats[0]],
            parts=self._supervisor.states,
        )
        with suppress(OSError):  # a full disk: the stack goes on, `status` sees what was
            state.write(self.data_dir, now)
        if self._on_change is not None:
            self._on_change(now)
