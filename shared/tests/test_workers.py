from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from imagesystem.errors import ImageSystemError, Rejected, Transient, Unavailable
from imagesystem.workers import WorkerDied, WorkerPool, usable_cores, usable_memory


def square(number: int) -> int:
    return number * number


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: int) -> None:
    time.sleep(600)


def count_then(last: str, to: int) -> Generator[int, None, str | None]:
    yield from range(to)
    match last:
        case "die":
            die(0)
        case "hang":
            hang(0)
        case "refuse":
            refuse("odd")
        case "tell":
            return "done"
    return None


def large(count: int) -> Generator[bytes, None, None]:
    for _ in range(count):
        yield bytes(300_000)


def refuse(code: str) -> None:
    raise Rejected(422, code, "no", limit="MAX_PIXELS", allowed=1, actual=2)


async def test_calls_run_in_other_processes() -> None:
    async with WorkerPool(2) as pool:
        pids = set(await asyncio.gather(*(pool.run(os.getpid) for _ in range(8))))
        assert os.getpid() not in pids
        assert pids <= set(pool.pids)
        assert await asyncio.gather(*(pool.run(square, n) for n in range(20))) == [
            n * n for n in range(20)
        ]


async def test_a_worker_does_not_take_the_cores_of_the_others() -> None:
    async with WorkerPool(1) as pool:
        assert await pool.run(os.getenv, "OPENBLAS_NUM_THREADS") == "1"


async def test_a_death_is_the_guilty_calls_alone() -> None:
    async with WorkerPool(2) as pool:
        results = await asyncio.gather(
            *(pool.run(square, n) for n in range(10)),
            pool.run(die, 0),
            *(pool.run(square, n) for n in range(10)),
            return_exceptions=True,
        )
        guilty = [result for result in results if isinstance(result, BaseException)]
        assert [type(error) for error in guilty] == [WorkerDied]
        assert await pool.run(square, 3) == 9


async def test_a_call_that_takes_too_long_is_ended_and_the_lane_works_again() -> None:
    async with WorkerPool(1) as pool:
        before = pool.pids
        with pytest.raises(Transient) as caught:
            await pool.run(hang, 0, deadline_s=0.2)
        assert caught.value.code == "deadline_exceeded"
        assert await pool.run(square, 4) == 16
        assert pool.pids != before


async def test_a_cancelled_call_frees_its_lane() -> None:
    async with WorkerPool(1) as pool:
        call = asyncio.create_task(pool.run(hang, 0))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await pool.run(square, 5) == 25


async def test_errors_come_back_as_they_were_raised() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(Rejected) as caught:
            await pool.run(refuse, "too_many_pixels")
        assert (caught.value.code, caught.value.allowed) == ("too_many_pixels", 1)


async def test_nothing_runs_after_the_pool_is_closed() -> None:
    async with WorkerPool(2) as pool:
        pids = pool.pids
    for pid in pids:
        for _ in range(200):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail(f"worker {pid} still runs")


async def test_what_a_generator_yields_is_told_as_it_comes() -> None:
    async with WorkerPool(1) as pool:
        told: list[int | str] = []
        await pool.stream(count_then, "return", 5, tell=told.append)
        assert told == [0, 1, 2, 3, 4]
        await pool.stream(count_then, "tell", 1, tell=told.append)
        assert told[5:] == [0, "done"]  # what is returned comes last
        sizes: list[bytes] = []
        await pool.stream(large, 4, tell=sizes.append)
        assert [len(item) for item in sizes] == [300_000] * 4
        assert await pool.run(square, 3) == 9


@pytest.mark.parametrize(
    ("last", "error", "code"),
    [
        ("die", WorkerDied, "worker_died"),
        ("hang", Transient, "deadline_exceeded"),
        ("refuse", Rejected, "odd"),
    ],
)
async def test_what_was_told_before_the_end_is_kept(
    last: str, error: type[ImageSystemError], code: str
) -> None:
    async with WorkerPool(1) as pool:
        told: list[int] = []
        await pool.run(square, 1)  # this module is imported there
        with pytest.raises(error) as caught:
            await pool.stream(count_then, last, 3, tell=told.append, deadline_s=5.0)
        assert caught.value.code == code
        assert told == [0, 1, 2]
        told.clear()
        await pool.stream(count_then, "return", 2, tell=told.append)
        assert told == [0, 1]


async def test_who_has_patience_lets_others_go_first() -> None:
    async with WorkerPool(1) as pool:
        done: list[str] = []

        async def call(name: str, *, patient: bool) -> None:
            await pool.run(square, 1, patient=patient)
            done.append(name)

        calls = [call("first", patient=False), call("patient", patient=True)]
        calls += [call("urgent", patient=False)]
        running = asyncio.gather(*calls)
        await asyncio.sleep(0)
        assert pool.waiting == 2
        await running
        assert done == ["first", "urgent", "patient"]
        assert pool.waiting == 0


async def test_who_stops_waiting_leaves_the_queue() -> None:
    async with WorkerPool(1) as pool:
        first = asyncio.create_task(pool.run(time.sleep, 0.2))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(pool.run(square, 2))
        await asyncio.sleep(0)
        assert pool.waiting == 1
        waiting.cancel()
        await first
        assert pool.waiting == 0
        assert await pool.run(square, 6) == 36


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_a_container_has_the_cores_that_it_may_use(
    monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(Path, "read_text", lambda path: quota if path.name == "cpu.max" else "")
    assert usable_cores() == cores


def test_there_is_memory_to_work_in() -> None:
    assert usable_memory() > 2**27


def unsendable(_: int) -> object:
    return lambda: None


async def test_what_cannot_travel_is_an_error_and_the_lane_works_again() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(RuntimeError, match="cannot be pickled"):
            await pool.run(unsendable, 0)
        assert await pool.run(square, 7) == 49


async def test_large_arguments_and_results_arrive_whole() -> None:
    data = bytes(range(256)) * 40_000
    async with WorkerPool(1) as pool:
        assert await pool.run(bytes.swapcase, data) == data.swapcase()


async def test_who_waited_too_long_is_told_that_nobody_is_to_blame() -> None:
    async with WorkerPool(1) as pool:
        busy = asyncio.create_task(pool.run(hang, 0))
        await asyncio.sleep(0)
        told: list[int] = []
        with pytest.raises(Unavailable, match="no worker was free within"):
            await pool.stream(count_then, "return", 2, tell=told.append, wait_s=0.05)
        assert pool.waiting == 0
        busy.cancel()
        await pool.stream(count_then, "return", 2, tell=told.append, wait_s=60)
        assert told == [0, 1]
