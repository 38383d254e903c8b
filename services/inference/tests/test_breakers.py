from __future__ import annotations

import pytest
from inference_service.breakers import FAILURES, FIRST_S, LONGEST_S, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broken(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for number in range(FAILURES):
        assert breaker.allows()
        breaker.failed(str(number), "task_failed: a bug")
    return breaker


def test_it_opens_after_failures_in_a_row_and_says_why(broken: Breaker) -> None:
    assert not broken.allows()
    assert "task_failed: a bug" in (broken.trouble() or "")


def test_a_success_in_between_keeps_it_closed(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(3):
        for number in range(FAILURES - 1):
            breaker.failed(str(number), "worker_died")
        breaker.succeeded()
    assert breaker.allows()
    assert breaker.trouble() is None


def test_one_may_try_when_the_wait_is_over(broken: Breaker, clock: Clock) -> None:
    clock.now += FIRST_S
    assert broken.allows()
    assert not broken.allows()
    broken.succeeded()
    assert broken.allows()
    assert broken.trouble() is None


def test_the_wait_doubles_and_is_bounded(broken: Breaker, clock: Clock) -> None:
    clock.now += FIRST_S
    assert broken.allows()
    broken.failed("0", "again")
    clock.now += FIRST_S
    assert not broken.allows()
    clock.now += FIRST_S
    assert broken.allows()
    for _ in range(100):
        broken.failed("0", "again")
    clock.now += LONGEST_S
    assert broken.allows()


def test_one_bad_picture_does_not_open_it(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(10 * FAILURES):
        breaker.failed("the same", "worker_died")
    assert breaker.allows()
