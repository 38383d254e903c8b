from __future__ import annotations

import random
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.events import Deleted, Exif, Fact, Failed, Inferred, Uploaded
from metadata_service.documents import SHAPE, Document
from metadata_service.folding import fact_key, fold

from services.metadata.tests.samples import (
    annotated,
    at,
    augmented,
    deleted,
    failed,
    inferred,
    planned,
    uploaded,
)


def folded(facts: list[tuple[Fact, int]], start: Document | None = None) -> Document | None:
    document = start
    for fact, sequence in facts:
        document = fold(document, fact, sequence) or document
    return document


def live(*facts: tuple[Fact, int]) -> Document:
    document = folded(list(facts))
    assert document is not None
    return document


def test_a_whole_life():
    document = live(
        (uploaded(tags=["first"]), 1),
        (planned(), 2),
        (inferred(), 3),
        (augmented(), 4),
        (annotated(tags=("cat", "sofa"), caption="A cat"), 5),
    )
    assert document.status == "ready"
    assert document.ready_at == at(2).replace(microsecond=678000)
    assert document.updated_at == at(4).replace(microsecond=678000)
    assert (document.tags, document.caption) == (["cat", "sofa"], "A cat")
    assert (document.kind, document.colours) == ("photo", ["teal", "gold"])
    assert (document.width, document.height, document.orientation) == (640, 480, "landscape")
    assert document.variant_count == 1
    assert document.seq == {
        "uploaded": 1,
        "planned": 2,
        "inferred.analysis": 3,
        "augmented.v1": 4,
        "annotated": 5,
    }


def test_the_tags_of_the_upload_count_until_someone_edits():
    assert live((uploaded(tags=["a"]), 1)).tags == ["a"]
    assert live((uploaded(tags=["a"]), 1), (annotated(tags=()), 2)).tags == []


def test_an_older_fact_never_overwrites_a_newer_one():
    document = live((uploaded(), 1), (inferred(version="2"), 9))
    assert fold(document, inferred(version="1"), 8) is None
    assert fold(document, inferred(version="2"), 9) is None
    newer = fold(document, inferred(version="3"), 10)
    assert newer is not None
    assert newer.inferred["analysis"].model_version == "3"


def test_a_tombstone_leaves_nothing_but_itself():
    document = live((uploaded(), 1), (planned(), 2), (annotated(), 3), (deleted(), 4))
    assert document.deleted
    assert document.tombstone is not None
    assert document.tombstone.seq == 4
    blank = Document(image_id=document.image_id, tombstone=document.tombstone, status="deleted")
    expected = {"updated_at": document.tombstone.deleted_at, "shape": SHAPE}
    assert document == msgspec.structs.replace(blank, **expected)


def test_late_facts_about_a_deleted_image_stay_out():
    document = live((uploaded(), 1), (deleted(), 4))
    assert fold(document, inferred(), 3) is None
    assert fold(document, uploaded(), 2) is None
    straggler = live((uploaded(), 1), (deleted(), 4), (annotated(), 5))
    assert straggler.deleted
    assert straggler.tags == []


def test_an_upload_after_the_tombstone_lives_again_without_the_past():
    document = live(
        (uploaded(), 1), (annotated(), 2), (deleted(), 4), (annotated(), 5), (uploaded(), 6)
    )
    assert document.exists
    assert not document.deleted
    assert document.annotated is None
    assert document.seq == {"uploaded": 6}
    again = fold(document, annotated(tags=("new",)), 7)
    assert again is not None
    assert again.tags == ["new"]
    assert fold(document, planned(), 5) is None


def test_a_fact_that_overtakes_its_upload_is_kept():
    document = live((deleted(), 4), (inferred(), 8), (planned(), 7))
    assert document.deleted
    document = live((deleted(), 4), (inferred(), 8), (planned(), 7), (uploaded(), 6))
    assert document.status == "ready"


def test_failure_and_success_of_a_stage():
    base = [(uploaded(), 1), (planned(), 2)]
    assert live(*base, (failed(), 3)).status == "failed"
    recovered = live(*base, (failed(), 3), (inferred(), 4))
    assert (recovered.status, recovered.failed) == ("ready", {})
    assert fold(recovered, failed(), 3) is None
    worse = live(*base, (inferred(), 3), (failed(), 4))
    assert (worse.status, set(worse.failed), set(worse.inferred)) == (
        "partial",
        {"analysis"},
        {"analysis"},
    )
    assert live(*base, (failed(), 3), (failed(resolved=True), 4)).failed == {}
    assert live(*base, (failed(resolved=True), 4), (failed(), 3)).failed == {}


def test_status_of_several_tasks():
    base = [(uploaded(), 1), (planned(tasks=("analysis", "labels")), 2)]
    assert live(*base, (inferred(), 3)).status == "pending"
    partial = live(*base, (inferred(), 3), (failed(stage="labels"), 4))
    assert partial.status == "partial"
    assert partial.ready_at == at(5).replace(microsecond=678000)
    assert live((uploaded(), 1), (planned(tasks=()), 2)).status == "ready"


def test_when_the_frame_gave_up_nothing_is_waited_for():
    assert live((uploaded(), 1), (failed(stage="inference-uploaded"), 2)).status == "failed"
    document = live(
        (uploaded(), 1),
        (planned(tasks=("analysis", "labels")), 2),
        (inferred(), 3),
        (failed(stage="inference-uploaded"), 4),
    )
    assert document.status == "partial"


def test_orientation_is_what_a_viewer_sees():
    turned = live((uploaded(width=640, height=480, exif=Exif(orientation=6)), 1))
    assert (turned.width, turned.height, turned.orientation) == (480, 640, "portrait")
    assert live((uploaded(width=5, height=5), 1)).orientation == "square"


def test_times_without_a_zone_or_in_another_zone_are_utc():
    fact = msgspec.structs.replace(uploaded(), uploaded_at=datetime(2026, 5, 1, 12, 0))  # noqa: DTZ001
    document = live((fact, 1))
    assert document.uploaded is not None
    assert document.uploaded.uploaded_at == datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


VARIETY = st.one_of(
    st.builds(uploaded, minutes=st.integers(0, 9), tags=st.sampled_from([["a"], ["b"], []])),
    st.builds(planned, tasks=st.sampled_from([("analysis",), ("analysis", "labels"), ()])),
    st.builds(inferred, minutes=st.integers(0, 9), version=st.sampled_from("123")),
    st.builds(augmented, variant=st.sampled_from(["v1", "v2"]), minutes=st.integers(0, 9)),
    st.builds(annotated, tags=st.sampled_from([("x",), ("y", "z"), ()])),
    st.builds(
        failed,
        stage=st.sampled_from(["analysis", "labels", "inference-uploaded"]),
        resolved=st.booleans(),
        minutes=st.integers(0, 9),
    ),
    st.builds(deleted, minutes=st.integers(0, 9)),
)


def remaining(facts: list[tuple[Fact, int]]) -> dict[str, int]:
    """What must count in the end, said without folding: the oracle."""
    tombstone = max((seq for fact, seq in facts if isinstance(fact, Deleted)), default=0)
    newest_upload = max((seq for fact, seq in facts if isinstance(fact, Uploaded)), default=0)
    floor = max(tombstone, newest_upload)
    latest: dict[str, tuple[int, Fact]] = {}
    for fact, seq in facts:
        if isinstance(fact, Deleted):
            continue
        counts = seq > floor or (isinstance(fact, Uploaded) and seq > tombstone)
        if counts and seq > latest.get(fact_key(fact), (0, fact))[0]:
            latest[fact_key(fact)] = (seq, fact)
    for seq, fact in list(latest.values()):
        if isinstance(fact, Failed) and latest.get(f"inferred.{fact.stage}", (0, fact))[0] > seq:
            del latest[fact_key(fact)]
    return {key: seq for key, (seq, _) in latest.items()}


@given(st.lists(VARIETY, min_size=1, max_size=14), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_folds_into_the_same_document(
    facts: list[Fact], chance: random.Random
):
    numbered = [(fact, number) for number, fact in enumerate(facts, start=1)]
    in_order = folded(numbered)
    shuffled = numbered + chance.choices(numbered, k=len(numbered))
    chance.shuffle(shuffled)
    assert folded(shuffled) == in_order
    assert in_order is not None
    assert in_order.seq == remaining(numbered)
    sections = {
        *(name for name in ("uploaded", "planned", "annotated") if getattr(in_order, name)),
        *(f"inferred.{task}" for task in in_order.inferred),
        *(f"augmented.{variant}" for variant in in_order.augmented),
        *(f"failed.{stage}" for stage in in_order.failed),
    }
    resolved = {fact_key(fact) for fact in facts if isinstance(fact, Failed) and fact.resolved}
    assert sections <= set(in_order.seq)
    assert set(in_order.seq) - sections <= resolved


@given(st.lists(VARIETY, min_size=1, max_size=14), st.randoms(use_true_random=False))
def test_a_document_survives_storage_at_any_point(facts: list[Fact], chance: random.Random):
    """Folding goes on from a stored document as from the one in memory."""
    numbered = [(fact, number) for number, fact in enumerate(facts, start=1)]
    chance.shuffle(numbered)
    half = len(numbered) // 2
    first = folded(numbered[:half])
    stored = first and msgspec.json.decode(msgspec.json.encode(first), type=Document)
    assert folded(numbered[half:], stored) == folded(numbered)


def test_an_inferred_fact_of_a_new_task_needs_no_change_here():
    class LabelsInferred(Inferred, frozen=True, kw_only=True):
        result: list[str]

    fact = LabelsInferred(
        image_id=uploaded().image_id,
        task="labels",
        model="m",
        model_version="1",
        duration_ms=1.0,
        inferred_at=at(2),
        result=["cat"],
    )
    document = live((uploaded(), 1), (planned(tasks=("labels",)), 2), (fact, 3))
    assert document.inferred["labels"].result == ["cat"]
    assert document.status == "ready"
