from __future__ import annotations

import importlib

import msgspec
import pytest
from imagesystem import retention
from imagesystem.bus import provisioning
from imagesystem.objects import jetstream
from imagesystem.settings import ServiceSettings
from imagesystem.topology import BUCKETS, DAY_S, STREAMS, Bucket, Stream

FACTS, _, LETTERS = STREAMS
ORIGINALS = BUCKETS[0]


class Settings(ServiceSettings, frozen=True, kw_only=True):
    max_originals_bytes: int = 0
    max_facts_bytes: int = 1000
    dead_letters_bytes: int = 0
    dead_letters_days: float = 1.5


def test_the_settings_replace_what_is_declared() -> None:
    settings = Settings(max_originals_bytes=5)
    assert retention.bucket_of(ORIGINALS, settings).max_bytes == 5
    assert retention.stream_of(FACTS, settings).max_bytes == 1000
    assert retention.stream_of(LETTERS, settings).max_age_s == 1.5 * DAY_S


def test_zero_is_no_limit() -> None:
    assert retention.bucket_of(ORIGINALS, Settings()).max_bytes == -1
    assert retention.stream_of(LETTERS, Settings()).max_bytes == -1
    assert retention.stream_of(LETTERS, Settings(dead_letters_days=0)).max_age_s == 0


def test_other_services_take_it_as_it_is_declared() -> None:
    for stream in STREAMS:
        assert retention.stream_of(stream, ServiceSettings()) == stream
    for bucket in BUCKETS:
        assert retention.bucket_of(bucket, ServiceSettings()) == bucket


@pytest.mark.parametrize("store", [*STREAMS, *BUCKETS], ids=lambda store: store.name)
def test_the_owner_has_the_settings_that_are_named(store: Stream | Bucket) -> None:
    owner = importlib.import_module(f"{store.owner}_service.settings").Settings
    defaults = {field.name: field.default for field in msgspec.structs.fields(owner)}
    assert (defaults[store.bytes_setting] or -1) == store.max_bytes
    if isinstance(store, Stream) and store.days_setting:
        assert defaults[store.days_setting] * DAY_S == store.max_age_s


def test_only_letters_and_caches_lose_their_oldest() -> None:
    discarding = {
        **{stream.name: provisioning.stream_config(stream)["discard"] for stream in STREAMS},
        **{bucket.name: jetstream.stream_config(bucket)["discard"] for bucket in BUCKETS},
    }
    evicting = {name for name, discard in discarding.items() if discard == "old"}
    assert evicting == {"DEAD_LETTERS", "renditions", "examples"}
