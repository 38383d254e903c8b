from __future__ import annotations

import asyncio

from registry_service.locks import Locks


async def test_one_at_a_time_for_each_key_and_nothing_is_kept() -> None:
    locks, running, most = Locks(), {"a": 0, "b": 0}, {"a": 0, "b": 0}

    async def work(key: str) -> None:
        async with locks.hold(key):
            running[key] += 1
            most[key] = max(most[key], running[key])
            await asyncio.sleep(0)
            running[key] -= 1

    tasks = [asyncio.create_task(work(key)) for key in "aabbab" * 5]
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == {"a": 1, "b": 1}
    assert len(locks) == 0
