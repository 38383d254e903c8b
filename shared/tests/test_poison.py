from __future__ import annotations

import pytest
from imagesystem.errors import Rejected
from imagesystem.poison import LIFETIME_S, MOST, Poison
from imagesystem.workers import WorkerDied


class Calls:
    """What each call comes to: True for a death."""

    def __init__(self, *deaths: bool) -> None:
        self.deaths = list(deaths)
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.deaths and self.deaths.pop(0):
            raise WorkerDied("died")
        return "done"


async def test_a_first_death_is_forgiven() -> None:
    poison, call = Poison(), Calls(True, False, True, False)
    assert await poison.tried("a", call) == "done"
    assert await poison.tried("a", call) == "done"
    assert call.made == 4


async def test_a_second_death_is_remembered_for_a_while() -> None:
    now = [0.0]
    poison, call = Poison(lambda: now[0]), Calls(True, True)
    for _ in range(3):
        with pytest.raises(Rejected) as caught:
            await poison.tried("a", call)
        assert (caught.value.status, caught.value.code) == (422, "unprocessable_picture")
    assert call.made == 2
    assert await poison.tried("b", call) == "done"
    now[0] += LIFETIME_S + 1
    assert await poison.tried("a", call) == "done"


async def test_no_more_than_so_many_are_remembered() -> None:
    poison = Poison()
    for number in range(MOST + 1):
        with pytest.raises(Rejected):
            await poison.tried(str(number), Calls(True, True))
    call = Calls()
    assert await poison.tried("0", call) == "done"
    with pytest.raises(Rejected):
        await poison.tried(str(MOST), call)
    assert call.made == 1
