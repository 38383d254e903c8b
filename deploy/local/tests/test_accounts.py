from __future__ import annotations

from datetime import UTC, datetime

import pytest
from imagesystem.asyncapi import entries
from local_stack import StackError, accounts
from local_stack.accounts import Subscriber, check_buckets, check_facts, check_name

IMAGE = "3c1666dd-8b4e-87eb-b961-cfddeec03b7b"


def subscriber(name: str = "acme", **fields: object) -> Subscriber:
    fields = {"facts": ("images.v1.>",), "password": "secret"} | fields
    return Subscriber(name=name, created_at=datetime.now(UTC), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pattern",
    [
        "images.v1.>",
        "images.v1.*.>",
        f"images.v1.{IMAGE}.>",
        "images.v1.*.inferred.>",
        "images.v1.*.inferred.*",
        "images.v1.*.augmented.>",
        "images.v1.*.failed.metadata",
        f"images.v1.{IMAGE}.uploaded",
        *(entry.pattern for entry in entries() if entry.stream.name == "IMAGES"),
    ],
)
def test_facts_of_the_contract_can_be_given(pattern: str) -> None:
    assert check_facts([pattern, pattern]) == (pattern,)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ">",
        "*",
        "images.>",
        "images.v2.>",
        "images.*.>",
        "images.v1",
        "images.v1.*",
        "images.v1.*.*",
        "images.v1.>.uploaded",
        "images.v1.*.nonsense",
        "images.v1.*.inferred",
        "images.v1.*.inferred.nonsense",
        "images.v1.*.inferred.text.more",
        "images.v1.*.uploaded.more",
        "images.v1.*.augmented",
        "images.v1.a b.uploaded",
        'images.v1."x".uploaded',
        "images.v1..uploaded",
        "images.v1.*.uploaded\n",
        "commands.v1.>",
        "dead.v1.>",
        "$JS.>",
        "$O.originals.>",
    ],
)
def test_nothing_else_can(pattern: str) -> None:
    with pytest.raises(StackError, match=r"matches no facts: there are images\.v1\.>"):
        check_facts([pattern])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("images.v1.>", "images.v1.*.uploaded"),
        ("images.v1.*.inferred.*", "images.v1.*.inferred.text"),
        (f"images.v1.{IMAGE}.>", "images.v1.*.deleted"),
    ],
)
def test_what_jetstream_would_refuse_is_refused_by_name(one: str, other: str) -> None:
    with pytest.raises(StackError, match="match the same facts"):
        check_facts([one, other])
    assert check_facts(["images.v1.*.uploaded", "images.v1.*.inferred.>"])


def test_one_has_to_say_which() -> None:
    with pytest.raises(StackError, match="--facts"):
        check_facts([])


@pytest.mark.parametrize("name", ["a", "acme", "acme-2", "x" * 32])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "2x", "-a", "a-", "a.b", "a b", "a>", "x" * 33, "é"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(StackError, match="is no name for a subscriber"):
        check_name(name)


def test_buckets_that_are_for_services_are_not_given_away() -> None:
    assert check_buckets(["variants", "originals", "variants"]) == ("variants", "originals")
    with pytest.raises(StackError, match="originals, renditions, variants"):
        check_buckets(["manifests"])


def test_an_account_imports_its_own_durable_and_its_buckets_and_no_more() -> None:
    text = accounts.render([subscriber(objects=("originals",)), subscriber("other")])
    imports = [line.strip() for line in text.splitlines() if "account: APP" in line]
    assert imports == [
        '{service: {account: APP, subject: "$JS.API.CONSUMER.MSG.NEXT.IMAGES.subscriber-acme"}}',
        '{service: {account: APP, subject: "$JS.ACK.IMAGES.subscriber-acme.>"}}',
        '{service: {account: APP, subject: "$JS.API.DIRECT.GET.OBJ_originals"}}',
        '{service: {account: APP, subject: "$JS.API.CONSUMER.MSG.NEXT.IMAGES.subscriber-other"}}',
        '{service: {account: APP, subject: "$JS.ACK.IMAGES.subscriber-other.>"}}',
    ]
