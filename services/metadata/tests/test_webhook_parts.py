"""The parts of webhooks by themselves: signatures, leases, delays, what one may take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from imagesystem.errors import Rejected
from imagesystem.keyvalue.memory import MemoryKeyValue
from metadata_service.webhooks.lease import EXPIRES_S, Lease
from metadata_service.webhooks.retries import Retries
from metadata_service.webhooks.signing import check_secret, new_secret, signed_headers

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_signatures_are_those_of_the_specification():
    """The example of Standard Webhooks' own documentation."""
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_new_secrets_are_accepted_and_never_the_same():
    assert check_secret(new_secret()) != new_secret()


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_MTIz", "plain", "whsec_" + "QUFB" * 40])
def test_weak_secrets_are_refused(secret: str):
    with pytest.raises(Rejected, match="24 to 64 bytes"):
        check_secret(secret)


def test_delays_grow_over_hours_and_end():
    retries = Retries(spread=lambda: 1.0)
    delays: list[float] = []
    now = NOW
    for attempts in range(1, 100):
        again = retries.next_at(attempts=attempts, first_at=NOW, now=now, rest_s=None)
        if again is None:
            break
        delays.append((again - now).total_seconds())
        now = again
    assert delays[:7] == [10, 30, 90, 270, 810, 2430, 7290]
    assert set(delays[7:]) == {4 * 3600}
    assert timedelta(hours=60) < now - NOW <= timedelta(hours=72)


def test_delays_are_apart_and_no_shorter_than_what_was_asked_for():
    retries = Retries()
    found = {retries.next_at(attempts=1, first_at=NOW, now=NOW, rest_s=None) for _ in range(20)}
    assert len(found) > 1
    assert all(8 <= (again - NOW).total_seconds() <= 12 for again in found if again)
    again = retries.next_at(attempts=1, first_at=NOW, now=NOW, rest_s=600)
    assert again == NOW + timedelta(seconds=600)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_lease_has_one_holder_who_keeps_it():
    store, clock = MemoryKeyValue("webhooks"), Clock()
    one, two = (Lease(store, "metadata.lease", name, clock) for name in ("one", "two"))
    assert await one.hold()
    for _ in range(10):
        clock.now += EXPIRES_S / 2
        assert await one.hold()
        assert not await two.hold()


async def test_a_lease_that_is_not_renewed_is_taken_and_its_holder_notices():
    store, clock = MemoryKeyValue("webhooks"), Clock()
    one, two = (Lease(store, "metadata.lease", name, clock) for name in ("one", "two"))
    assert await one.hold()
    assert not await two.hold()
    clock.now += EXPIRES_S + 1
    assert await two.hold()
    assert not await one.hold()


async def test_a_released_lease_is_free_at_once():
    store, clock = MemoryKeyValue("webhooks"), Clock()
    one, two = (Lease(store, "metadata.lease", name, clock) for name in ("one", "two"))
    assert await one.hold()
    await one.release()
    assert await two.hold()


async def test_a_holder_who_cannot_renew_gives_up_before_others_may_take_over():
    store, clock = MemoryKeyValue("webhooks"), Clock()
    lease = Lease(store, "metadata.lease", "one", clock)
    assert await lease.hold()
    store.down = True
    clock.now += 2
    assert await lease.hold()
    clock.now += EXPIRES_S - 2
    assert not await lease.hold()
