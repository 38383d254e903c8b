"""External subscribers as data: who they are, what they were given, and their NATS accounts.

Each has an account of its own, called like its user and its durable consumer. The account reaches
JetStream by service imports alone: the server's answers then come to the subscriber's account,
whatever reply subject was asked for (ADR 11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import combinations

import msgspec
from imagesystem.events import FACTS, INFERRED
from imagesystem.events.facts import Fact

from local_stack.errors import StackError
from local_stack.nats_config import GRANTABLE

__all__ = ["Subscriber", "check_buckets", "check_facts", "check_name", "render"]

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: The kinds of facts that have one subject per task, variant or stage.
_KEYED = {"inferred"} | {kind for kind, fact in FACTS.items() if fact.key is not Fact.key}
_FORMS = (
    "images.v1.>",
    "images.v1.*.>",
    *(f"images.v1.*.{kind}" for kind in FACTS if kind not in _KEYED),
    *(f"images.v1.*.{kind}.>" for kind in sorted(_KEYED)),
)

_HEAD = "# Written by `image-system subscriber`: the next one replaces it.\n"
_ACCOUNT = """
{name} {{
  users: [
    {{
      user: {name}
      password: {password}
      permissions: {{publish: [{publish}], subscribe: ["_INBOX.>"]}}
    }}
  ]
  limits: {{max_connections: 64, max_subscriptions: 1000, max_payload: 64KB}}
  imports: [
{imports}
  ]
}}
"""
_IMPORT = '    {{service: {{account: APP, subject: "{subject}"}}}}'


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """One external subscriber: the `facts` it hears and the buckets whose `objects` it reads."""

    name: str
    facts: tuple[str, ...]
    objects: tuple[str, ...] = ()
    password: str
    created_at: datetime

    @property
    def durable(self) -> str:
        """What its durable consumer, its NATS user and its account are all called."""
        return f"subscriber-{self.name}"

    @property
    def subjects(self) -> tuple[str, ...]:
        """All it may ask of the services' account."""
        return (
            f"$JS.API.CONSUMER.MSG.NEXT.IMAGES.{self.durable}",
            f"$JS.ACK.IMAGES.{self.durable}.>",
            *(f"$JS.API.DIRECT.GET.OBJ_{bucket}" for bucket in self.objects),
        )


def render(subscribers: Iterable[Subscriber]) -> str:
    """Return the accounts of `subscribers`, as nats-server's configuration includes them."""
    return _HEAD + "".join(
        _ACCOUNT.format(
            name=subscriber.durable,
            password=subscriber.password,
            publish=", ".join(f'"{subject}"' for subject in subscriber.subjects),
            imports="\n".join(_IMPORT.format(subject=subject) for subject in subscriber.subjects),
        )
        for subscriber in subscribers
    )


def check_name(name: str) -> str:
    """Return `name` if a subscriber can be called so; raises `StackError`."""
    if not _NAME.fullmatch(name):
        raise StackError(
            f"{name!r} is no name for a subscriber: up to 32 lower-case letters, digits and "
            "hyphens, the first a letter, the last no hyphen"
        )
    return name


def check_buckets(buckets: Iterable[str]) -> tuple[str, ...]:
    """Return `buckets` in order, each once; raises `StackError` for one that is not given away."""
    asked = tuple(dict.fromkeys(buckets))
    for bucket in asked:
        if bucket not in GRANTABLE:
            raise StackError(f"no bucket {bucket!r} can be given: {', '.join(GRANTABLE)} can")
    return asked


def check_facts(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return `patterns` in order, each once; raises `StackError` unless each can match facts.

    Two of them must not match the same fact: JetStream would refuse them.
    """
    asked = tuple(dict.fromkeys(patterns))
    if not asked:
        raise StackError(f"say which facts, for instance --facts {_FORMS[0]!r}")
    for pattern in asked:
        if not _matches_facts(pattern):
            raise StackError(
                f"{pattern!r} matches no facts: there are {', '.join(_FORMS)}, and the same with "
                f"an image's id for the first *, or with one key for a last >; inferred has "
                f"{', '.join(INFERRED)}"
            )
    for one, other in combinations(asked, 2):
        if _overlap(one.split("."), other.split(".")):
            raise StackError(f"{one!r} and {other!r} match the same facts: leave one out")
    return asked


def _matches_facts(pattern: str) -> bool:
    """Whether the contract knows facts that `pattern` matches, by a kind that it names."""
    match pattern.split("."):
        case ["images", "v1", ">"]:
            return True
        case ["images", "v1", image, ">"]:
            return _any(image)
        case ["images", "v1", image, kind]:
            return _any(image) and kind in FACTS and kind not in _KEYED
        case ["images", "v1", image, "inferred", task]:
            return _any(image) and task in {"*", ">", *INFERRED}
        case ["images", "v1", image, kind, key]:
            return _any(image) and kind in _KEYED and (key == ">" or _any(key))
    return False


def _any(word: str) -> bool:
    return word == "*" or _WORD.fullmatch(word) is not None


def _overlap(one: list[str], other: list[str]) -> bool:
    """Whether some subject matches both patterns, given as tokens."""
    if not one or not other:
        return not one and not other
    if ">" in (one[0], other[0]):
        return True
    return (one[0] == other[0] or "*" in (one[0], other[0])) and _overlap(one[1:], other[1:])
