"""Streams, consumers and buckets as data: who owns them, who hears what, how it is retried.

Everything NATS holds for the system is declared here and nowhere else. Each stream, bucket and
consumer is created by its owner when the service starts (`imagesystem.provision`), and the
permissions of every service follow from the same tables (`imagesystem.permissions`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from imagesystem.events import INFERRED

__all__ = [
    "BUCKETS",
    "CONSUMERS",
    "EXCHANGES",
    "KEY_VALUES",
    "REPLAYS",
    "SERVICES",
    "STREAMS",
    "Bucket",
    "Consumer",
    "Exchange",
    "KeyValue",
    "Stream",
    "replays_of",
]

Service = Literal["registry", "image", "inference", "metadata", "augmentation"]
SERVICES: tuple[Service, ...] = ("registry", "image", "inference", "metadata", "augmentation")

DAY_S = 24 * 3600.0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream: `per_subject` messages kept per subject (-1: all), `max_age_s` 0: for ever.

    `evicts`: when full, the oldest give way (otherwise a full stream refuses). `bytes_setting`
    and `days_setting` name the settings of the owner that replace `max_bytes` and `max_age_s`.
    """

    name: str
    owner: Service
    subjects: tuple[str, ...]
    retention: Literal["limits", "workqueue"] = "limits"
    per_subject: int = -1
    max_age_s: float = 0
    max_bytes: int = -1
    evicts: bool = False
    bytes_setting: str = ""
    days_setting: str = ""
    max_message_bytes: int = 256 * 1024 + 8 * 1024
    description: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """An object-store bucket: written by `owner`, read by `readers`.

    `cache`: when full, the oldest give way (otherwise a full bucket refuses). `bytes_setting`
    names the setting of the owner that replaces `max_bytes`. `max_age_s`: what was written so
    long ago vanishes (0: never).
    """

    name: str
    owner: Service
    readers: tuple[Service, ...] = ()
    cache: bool = False
    max_bytes: int = -1
    max_age_s: float = 0
    bytes_setting: str = ""
    description: str


class KeyValue(msgspec.Struct, frozen=True, kw_only=True):
    """A key-value bucket; each service writes the keys that begin with its name.

    `max_age_s`: what was not written for so long vanishes (0: never).
    """

    name: str
    owner: Service
    writers: tuple[Service, ...]
    max_age_s: float = 0
    description: str


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A question that is answered at once, or not at all: nothing keeps it.

    Replicas of `answered_by` share what is asked; one of them answers `at_once` at most.
    """

    name: str
    asked_by: tuple[Service, ...]
    answered_by: Service
    at_once: int
    description: str

    @property
    def subject(self) -> str:
        """Where it is asked."""
        return f"questions.v1.{self.name}"


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable consumer and how its messages are handled.

    `concurrency`: messages one process handles at once; `deadline_s`: seconds one handler may
    take; `ack_wait_s`: seconds of silence after which the server delivers again; `attempts`:
    deliveries before the message becomes a dead letter; `retry_s`: the first delay of a retry,
    doubled each time up to `retry_max_s`.
    """

    name: str
    service: Service
    stream: str
    subjects: tuple[str, ...]
    concurrency: int = 8
    deadline_s: float = 60.0
    ack_wait_s: float = 30.0
    attempts: int = 5
    retry_s: float = 0.5
    retry_max_s: float = 60.0


STREAMS: tuple[Stream, ...] = (
    Stream(
        name="IMAGES",
        owner="registry",
        subjects=("images.v1.>",),
        per_subject=1,
        bytes_setting="max_facts_bytes",
        description="facts: the latest state of everything known about every image",
    ),
    Stream(
        name="COMMANDS",
        owner="registry",
        subjects=("commands.v1.>",),
        retention="workqueue",
        bytes_setting="max_commands_bytes",
        description="requests: each handled once",
    ),
    Stream(
        name="DEAD_LETTERS",
        owner="registry",
        subjects=("dead.v1.>",),
        per_subject=1,
        max_age_s=30 * DAY_S,
        max_bytes=512 * 1024**2,
        evicts=True,
        bytes_setting="dead_letters_bytes",
        days_setting="dead_letters_days",
        max_message_bytes=512 * 1024,
        description="what could not be handled, for thirty days",
    ),
)

BUCKETS: tuple[Bucket, ...] = (
    Bucket(
        name="originals",
        owner="registry",
        readers=("image", "inference", "augmentation"),
        bytes_setting="max_originals_bytes",
        description="pictures as they were uploaded, by image id",
    ),
    Bucket(
        name="renditions",
        owner="image",
        cache=True,
        max_bytes=2 * 1024**3,
        bytes_setting="renditions_bytes",
        description="a cache of what was made from originals; may vanish",
    ),
    Bucket(
        name="variants",
        owner="augmentation",
        bytes_setting="variants_bytes",
        description="augmented pictures",
    ),
    Bucket(
        name="manifests",
        owner="metadata",
        readers=("augmentation",),
        bytes_setting="manifests_bytes",
        description="lists of ids too large for a message",
    ),
    Bucket(
        name="examples",
        owner="metadata",
        readers=("inference",),
        cache=True,
        max_bytes=1024**3,
        max_age_s=3600.0,
        bytes_setting="examples_bytes",
        description="pictures that somebody looks for the like of, until that is answered",
    ),
)

KEY_VALUES: tuple[KeyValue, ...] = (
    KeyValue(
        name="checkpoints",
        owner="registry",
        writers=SERVICES,
        description="the sequence each durable consumer has applied, to recreate it from there",
    ),
    KeyValue(
        name="tasks",
        owner="augmentation",
        writers=("augmentation",),
        description="the state of long tasks",
    ),
    KeyValue(
        name="recipes",
        owner="augmentation",
        writers=("augmentation",),
        description="recipes of augmentation that have a name, each version of them",
    ),
    KeyValue(
        name="webhooks",
        owner="metadata",
        writers=("metadata",),
        description="endpoints that are told of facts, their secrets, and how far each has come",
    ),
    KeyValue(
        name="deliveries",
        owner="metadata",
        writers=("metadata",),
        max_age_s=7 * DAY_S,
        description="what was delivered to webhooks and what is tried again, for a week",
    ),
    KeyValue(
        name="albums",
        owner="metadata",
        writers=("metadata",),
        description="albums: what they are called (what is in them is facts)",
    ),
    KeyValue(
        name="bulk",
        owner="metadata",
        writers=("metadata",),
        max_age_s=7 * DAY_S,
        description="edits of many images: what to change, how far it has come, for a week",
    ),
)

EXCHANGES: dict[str, Exchange] = {
    exchange.name: exchange
    for exchange in (
        Exchange(
            name="embed",
            asked_by=("metadata",),
            answered_by="inference",
            at_once=16,
            description="where a text, or a picture that is not kept, lies among embeddings",
        ),
    )
}

CONSUMERS: dict[str, Consumer] = {
    consumer.name: consumer
    for consumer in (
        Consumer(
            name="registry-deleted",
            service="registry",
            stream="IMAGES",
            subjects=("images.v1.*.deleted",),
        ),
        Consumer(
            name="image-deleted",
            service="image",
            stream="IMAGES",
            subjects=("images.v1.*.deleted",),
        ),
        Consumer(
            name="inference-uploaded",
            service="inference",
            stream="IMAGES",
            subjects=("images.v1.*.uploaded",),
            deadline_s=120.0,
            attempts=4,
        ),
        *(
            Consumer(
                name=f"inference-{task}",
                service="inference",
                stream="COMMANDS",
                subjects=(f"commands.v1.infer.{task}.*",),
                deadline_s=120.0,
                attempts=4,
            )
            for task in INFERRED
        ),
        Consumer(
            name="metadata-facts",
            service="metadata",
            stream="IMAGES",
            subjects=("images.v1.>",),
            concurrency=32,
            attempts=8,
        ),
        Consumer(
            name="metadata-resolutions",
            service="metadata",
            stream="COMMANDS",
            subjects=("commands.v1.resolve.*",),
            concurrency=2,
            deadline_s=300.0,
        ),
        Consumer(
            name="metadata-bulk",
            service="metadata",
            stream="COMMANDS",
            subjects=("commands.v1.edit.*",),
            concurrency=2,
            deadline_s=120.0,
            attempts=10,
        ),
        Consumer(
            name="augmentation-deleted",
            service="augmentation",
            stream="IMAGES",
            subjects=("images.v1.*.deleted",),
        ),
        Consumer(
            name="augmentation-plans",
            service="augmentation",
            stream="COMMANDS",
            subjects=("commands.v1.plan.*",),
            concurrency=2,
            deadline_s=600.0,
            attempts=10,
        ),
        Consumer(
            name="augmentation-units",
            service="augmentation",
            stream="COMMANDS",
            subjects=("commands.v1.augment.*.*",),
            deadline_s=600.0,
            # Every death of the service is an attempt of what it had in work; what kills or
            # stalls workers is given up sooner, by its handler.
            attempts=10,
        ),
    )
}


def replays_of(consumer: Consumer) -> Consumer:
    """Return the durable through which dead letters of `consumer` come back to it, and to it alone.

    It has the patience of `consumer`, but less room: a replay must not crowd out what is new.
    """
    return msgspec.structs.replace(
        consumer,
        name=f"{consumer.name}-replays",
        stream="COMMANDS",
        subjects=(f"commands.v1.replay.{consumer.name}.*",),
        concurrency=min(consumer.concurrency, 4),
    )


#: The durable for replays of each durable consumer, by the name of that consumer.
REPLAYS: dict[str, Consumer] = {name: replays_of(consumer) for name, consumer in CONSUMERS.items()}
