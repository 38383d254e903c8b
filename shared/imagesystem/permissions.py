"""Who may say and hear what: the NATS permissions of every service, from the topology's tables.

A service publishes the facts and commands it is known for, pulls from and acknowledges to its
own durable consumers, writes the buckets it owns and reads those it was given, and hears
nothing but its own inbox. Who answers questions hears them as one of its replicas alone, and may
send one message to wherever a question wants its answer. Streams are created, changed and purged
by their owner only.

Dead letters are written by the service whose consumer gave up, each on subjects of its own, and
are read by all. Who may ask for replays may discard letters: metadata, whose HTTP API does both,
and the operator; one by one, for no more than that is needed. Besides, the operator may see how
long queues are, delete commands, and pause consumers; it can say nothing else. The
administrator makes and removes the durables of external subscribers.
"""

from __future__ import annotations

import msgspec

from imagesystem.topology import (
    BUCKETS,
    CONSUMERS,
    EXCHANGES,
    KEY_VALUES,
    REPLAYS,
    SERVICES,
    STREAMS,
    Service,
)

__all__ = ["ADMINISTRATOR", "OPERATOR", "SAYS", "USERS", "Permissions", "inbox_prefix"]

#: The user of `image-system subscriber`. Who may make a consumer may read everything and have it
#: delivered anywhere, so that nobody else is this user.
ADMINISTRATOR = "administrator"

#: The user of `image-system queues`, `dead-letters` and `pause`: a person who looks after the
#: system, no service.
OPERATOR = "operator"

#: Deletes one message of the stream by its sequence; says nothing.
DISCARD = "$JS.API.STREAM.MSG.DELETE.DEAD_LETTERS"

#: Facts and commands, by who may say them. Everybody may say that a stage of theirs failed.
SAYS: dict[Service, tuple[str, ...]] = {
    "registry": ("images.v1.*.uploaded", "images.v1.*.deleted"),
    "image": (),
    "inference": (
        "images.v1.*.planned",
        "images.v1.*.inferred.*",
        "images.v1.*.failed.*",
        "commands.v1.infer.*.*",
    ),
    "metadata": (
        "images.v1.*.annotated",
        "images.v1.*.collected.*",
        "images.v1.*.grouped.duplicates",
        "images.v1.*.failed.metadata",
        "commands.v1.edit.*",
        "commands.v1.infer.*.*",
        "commands.v1.replay.*.*",
        "commands.v1.plan.*",
    ),
    "augmentation": (
        "images.v1.*.augmented.*",
        "images.v1.*.failed.augmentation",
        "commands.v1.plan.*",
        "commands.v1.augment.*.*",
        "commands.v1.resolve.*",
    ),
}

#: Facts heard as they are said, besides what durable consumers bring: by their own inbox alone.
HEARS: dict[Service, tuple[str, ...]] = {
    "metadata": ("images.v1.>",),
    "image": ("images.v1.*.uploaded", "images.v1.*.deleted"),
}


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """Subjects (with wildcards) that a user may publish and subscribe to.

    What is subscribed to may have a queue group behind it: only as a part of that. `answers`:
    whether one message may be sent back to where a message that was heard wants it.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False


def inbox_prefix(service: str) -> str:
    """Return the first token of the inboxes of `service`: answers to others are not its own."""
    return f"_INBOX_{service}"


def _stream(name: str, *, owned: bool) -> list[str]:
    subjects = [
        f"$JS.API.STREAM.INFO.{name}",
        f"$JS.API.DIRECT.GET.{name}",
        f"$JS.API.DIRECT.GET.{name}.>",
        f"$JS.API.STREAM.MSG.GET.{name}",  # of the leader, when a replica lags
    ]
    if owned:
        subjects += [f"$JS.API.STREAM.{verb}.{name}" for verb in ("CREATE", "UPDATE", "PURGE")]
    return subjects


def _publish(service: Service) -> list[str]:
    subjects = ["$JS.API.INFO", *SAYS[service]]
    for stream in STREAMS:
        subjects += _stream(stream.name, owned=stream.owner == service)
    for bucket in BUCKETS:
        owned = bucket.owner == service
        if owned or service in bucket.readers:
            subjects += _stream(f"OBJ_{bucket.name}", owned=owned)
        if owned:
            subjects += [
                f"$O.{bucket.name}.>",
                f"$JS.API.CONSUMER.CREATE.OBJ_{bucket.name}.>",
                f"$JS.API.CONSUMER.DELETE.OBJ_{bucket.name}.*",
            ]
    for key_value in KEY_VALUES:
        owned = key_value.owner == service
        if owned or service in key_value.writers:
            subjects += _stream(f"KV_{key_value.name}", owned=owned)
            subjects.append(f"$KV.{key_value.name}.{service}.>")
    for consumer in CONSUMERS.values():
        if consumer.service == service:
            subjects.append(f"dead.v1.{consumer.name}.*")
            for durable in (consumer, REPLAYS[consumer.name]):
                name = f"{durable.stream}.{durable.name}"
                subjects += [
                    f"$JS.API.CONSUMER.DURABLE.CREATE.{name}",
                    f"$JS.API.CONSUMER.INFO.{name}",
                    f"$JS.API.CONSUMER.PAUSE.{name}",  # the brake
                    f"$JS.API.CONSUMER.MSG.NEXT.{name}",
                    f"$JS.ACK.{name}.>",
                ]
    if "commands.v1.replay.*.*" in SAYS[service]:
        subjects.append(DISCARD)
    subjects += [each.subject for each in EXCHANGES.values() if service in each.asked_by]
    return subjects


def _answered(service: Service) -> tuple[str, ...]:
    """Return what a service is asked, as one of its replicas."""
    asked = [each.subject for each in EXCHANGES.values() if each.answered_by == service]
    return tuple(f"{subject} {service}" for subject in asked)


def _operate() -> list[str]:
    """Return what the operator may ask: how things are, and to clear, pause, replay, discard."""
    subjects = [f"$JS.API.STREAM.INFO.{stream.name}" for stream in STREAMS]
    subjects += [f"$JS.API.DIRECT.GET.{stream.name}" for stream in STREAMS]
    subjects += [
        f"$JS.API.CONSUMER.{verb}.{durable.stream}.{durable.name}"
        for durable in (*CONSUMERS.values(), *REPLAYS.values())
        for verb in ("INFO", "PAUSE")
    ]
    subjects += ["$JS.API.DIRECT.GET.COMMANDS.commands.v1.replay.>", "commands.v1.replay.*.*"]
    return [*subjects, "$JS.API.STREAM.PURGE.COMMANDS", DISCARD]


def _administer() -> list[str]:
    """Return what the administrator may ask: to make, see and remove consumers of facts."""
    verbs = ("DURABLE.CREATE", "INFO", "DELETE")
    return [f"$JS.API.CONSUMER.{verb}.IMAGES.*" for verb in verbs]


#: The users of people who look after the system: no services.
PEOPLE = {OPERATOR: _operate, ADMINISTRATOR: _administer}

#: The permissions of every NATS user in the services' account.
USERS: dict[str, Permissions] = {
    service: Permissions(
        publish=tuple(_publish(service)),
        subscribe=(f"{inbox_prefix(service)}.>", *HEARS.get(service, ()), *_answered(service)),
        answers=bool(_answered(service)),
    )
    for service in SERVICES
} | {
    person: Permissions(publish=tuple(asks()), subscribe=(f"{inbox_prefix(person)}.>",))
    for person, asks in PEOPLE.items()
}
