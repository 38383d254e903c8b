"""docs/reference/topology.md, from the tables of the topology."""

from __future__ import annotations

from pathlib import Path

from imagesystem.permissions import SAYS
from imagesystem.topology import BUCKETS, CONSUMERS, EXCHANGES, KEY_VALUES, STREAMS

from generators.markdown import code, table

__all__ = ["page"]

INTRO = """\
# Topology

What NATS holds for the system. Each part is made by its owner when that service starts, and
updated if it differs. `REPLICAS` ([settings](settings.md)) says how many copies there are of
each.

## Streams
"""
CONSUMING = """\
## Durable consumers

Replicas of a service share its durable consumers. What the columns mean is in
[Delivery](../explanation/delivery.md). Each has another one beside it for
[replays](../how-to/handle-dead-letters.md) of its dead letters: `<durable>-replays`, on
`commands.v1.replay.<durable>.*`.
"""
ASKING = """\
## Questions

Asked of whoever is there and answered at once
([why](../adr/0044-questions-are-asked-over-nats.md)). No stream keeps them; replicas of who answers
share them.
"""
SAYING = """\
## Who may say what

Each service is a NATS user of its own. Besides these subjects it may use its own durables and
buckets, and write dead letters of its own consumers.
"""
SUBSCRIBING = """\
The operator (`operator`, for `image-system queues`, `dead-letters` and `pause`) may ask how streams
and durables are, read facts, commands and dead letters, ask for replays, delete commands and dead
letters, and pause durables; it can say nothing else.

External subscribers use `subscriber`, in an account of its own: it may listen to `images.v1.>`
and publish nothing.
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    streams = [
        (
            code(stream.name),
            _codes(stream.subjects),
            stream.owner,
            stream.retention,
            "all" if stream.per_subject < 0 else f"{stream.per_subject} per subject",
            f"{stream.max_age_s / 86400:g} days" if stream.max_age_s else "for ever",
            stream.description,
        )
        for stream in STREAMS
    ]
    buckets = [
        (
            code(bucket.name),
            bucket.owner,
            ", ".join(bucket.readers),
            "no limit of its own" if bucket.max_bytes < 0 else f"{bucket.max_bytes} bytes",
            bucket.description,
        )
        for bucket in BUCKETS
    ]
    key_values = [
        (code(kv.name), kv.owner, ", ".join(kv.writers), kv.description) for kv in KEY_VALUES
    ]
    consumers = [
        (
            code(consumer.name),
            consumer.service,
            code(consumer.stream),
            _codes(consumer.subjects),
            consumer.concurrency,
            f"{consumer.deadline_s:g} s",
            f"{consumer.ack_wait_s:g} s",
            consumer.attempts,
            f"{consumer.retry_s:g} to {consumer.retry_max_s:g} s",
        )
        for consumer in CONSUMERS.values()
    ]
    exchanges = [
        (
            code(each.subject),
            ", ".join(each.asked_by),
            each.answered_by,
            each.at_once,
            each.description,
        )
        for each in EXCHANGES.values()
    ]
    return "\n".join(
        [
            INTRO,
            table(("stream", "subjects", "owner", "retention", "keeps", "for", ""), streams),
            "## Object buckets\n",
            "A bucket `b` is the stream `OBJ_b`. Its owner writes it; readers may only read.\n",
            table(("bucket", "owner", "readers", "limit", ""), buckets),
            "## Key-value buckets\n",
            "A bucket `b` is the stream `KV_b`. A service writes keys that begin with its name.\n",
            table(("bucket", "owner", "writers", ""), key_values),
            CONSUMING,
            table(
                ("durable", "service", "stream", "hears", "at once, per process", "deadline",
                 "ack wait", "attempts", "delay of a retry"),
                consumers,
            ),
            ASKING,
            table(
                ("subject", "asked by", "answered by", "at once, per process", ""), exchanges
            ),
            SAYING,
            table(
                ("user", "may publish"),
                [(service, _codes(subjects)) for service, subjects in SAYS.items()],
            ),
            SUBSCRIBING,
        ]
    )  # fmt: skip


def _codes(texts: tuple[str, ...]) -> str:
    return ", ".join(code(text) for text in texts) or "nothing"
