from __future__ import annotations

import asyncio

import pytest
from imagesystem.objects.credit import Credit


async def test_it_is_served_in_turn() -> None:
    credit = Credit(10)
    assert credit.take(8) is None
    large, small = credit.take(5), credit.take(1)
    assert large is not None
    assert small is not None
    assert not small.done(), "what came first is served first, even when the other would fit"
    credit.give(8)
    await asyncio.sleep(0)
    assert large.done()
    assert small.done()
    assert credit.free == 4


async def test_more_than_there_is_counts_as_all_of_it() -> None:
    credit = Credit(10)
    assert credit.take(25) is None
    assert credit.free == 0
    credit.give(25)
    assert credit.free == 10


async def test_whoever_withdraws_gives_back_what_was_granted() -> None:
    credit = Credit(10)
    assert credit.take(10) is None
    granted, waiting, last = credit.take(6), credit.take(6), credit.take(4)
    assert granted is not None
    assert waiting is not None
    assert last is not None
    credit.give(10)
    assert granted.done()
    assert not waiting.done()
    credit.withdraw(waiting, 6)
    assert last.done()
    credit.withdraw(granted, 6)
    credit.give(4)
    assert credit.free == 10


async def test_a_task_that_is_cancelled_while_it_waits_takes_and_gives_nothing() -> None:
    credit = Credit(10)
    assert credit.take(10) is None
    turn = credit.take(5)
    assert turn is not None

    async def wait() -> None:
        try:
            await turn
        except BaseException:
            credit.withdraw(turn, 5)
            raise

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert credit.free == 0
    credit.give(10)
    assert credit.free == 10
