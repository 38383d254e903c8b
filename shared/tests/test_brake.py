"""When the brake is pulled, and when not."""

from __future__ import annotations

import pytest
from imagesystem.bus.brake import Brake, BrakeLimits, limits_of
from imagesystem.settings import ServiceSettings


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def brake(clock: Clock, **limits: float) -> Brake:
    chosen: dict[str, float] = {"ratio": 0.5, "window_s": 60, "least": 10, "pause_s": 5} | limits
    return Brake(BrakeLimits(**chosen), clock)  # type: ignore[arg-type]


def test_few_failures_say_nothing(clock: Clock) -> None:
    one = brake(clock)
    assert [one.count(failed=True) for _ in range(9)] == [None] * 9


def test_most_of_enough_is_told(clock: Clock) -> None:
    one = brake(clock)
    for _ in range(4):
        assert one.count(failed=False) is None
    for _ in range(5):
        assert one.count(failed=True) is None
    assert one.count(failed=True) == "6 of the last 10 messages failed for good"


def test_half_is_not_most(clock: Clock) -> None:
    one = brake(clock)
    assert not any(one.count(failed=bool(number % 2)) for number in range(100))


def test_what_is_older_than_the_window_counts_no_more(clock: Clock) -> None:
    one = brake(clock)
    for _ in range(9):
        one.count(failed=True)
    clock.now += 61
    assert one.count(failed=True) is None


def test_after_the_pause_it_counts_anew(clock: Clock) -> None:
    one = brake(clock)
    assert [bool(one.count(failed=True)) for _ in range(20)] == ([False] * 9 + [True]) * 2


def test_a_ratio_of_one_never_brakes(clock: Clock) -> None:
    one = brake(clock, ratio=1.0)
    assert not any(one.count(failed=True) for _ in range(1000))


def test_a_busy_window_takes_no_more_memory_than_an_idle_one(clock: Clock) -> None:
    one = brake(clock)
    for _ in range(10_000):
        clock.now += 0.01
        one.count(failed=False)
    assert len(one._steps) <= 21


def test_the_settings_say_the_same_as_the_limits() -> None:
    assert limits_of(ServiceSettings()) == BrakeLimits()
