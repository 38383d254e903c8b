from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from imagesystem.errors import ImageSystemError, Permanent, StoreFull, Unavailable, WrongSequence
from imagesystem.objects import ObjectInfo
from imagesystem.objects.layout import ApiError, Layout, decode_info, encode_info, stream_config
from imagesystem.objects.publications import error_of
from imagesystem.topology import BUCKETS

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
INFO = ObjectInfo(
    bucket="b",
    name="ü.png",
    nuid="n",
    size=0,
    chunks=0,
    digest="ab" * 32,
    modified_at=MOMENT,
    sequence=7,
    metadata={"media_type": "image/png"},
)


def test_subjects_are_those_of_adr_20() -> None:
    layout = Layout("b")
    assert layout.stream == "OBJ_b"
    assert layout.chunks("n") == "$O.b.C.n"
    assert layout.description("ü>") == "$O.b.M.w7w-"


def test_a_description_says_what_other_clients_need() -> None:
    said = json.loads(encode_info(INFO))
    assert said["size"] == said["chunks"] == 0, "absent, nats-py would wait for chunks for ever"
    assert said["digest"].startswith("SHA-256=")
    assert said["options"] == {"max_chunk_size": 131072}
    assert "deleted" not in said
    assert said["metadata"]["media_type"] == "image/png"


def test_a_description_comes_back() -> None:
    assert decode_info(encode_info(INFO), sequence=7, time="") == INFO


@pytest.mark.parametrize(
    ("mtime", "expected"),
    [
        ("0001-01-01T00:00:00Z", MOMENT),
        ("", MOMENT),
        (None, MOMENT),
        ("2025-01-01T00:00:00.123456789Z", datetime(2025, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2025-01-01T01:00:00+01:00", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00", datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_time_is_that_of_the_message_when_none_is_said(
    mtime: str | None, expected: datetime
) -> None:
    data = json.dumps({"name": "a", "bucket": "b", "nuid": "n", "mtime": mtime}).encode()
    assert decode_info(data, sequence=1, time=MOMENT.isoformat()).modified_at == expected


@pytest.mark.parametrize("bucket", BUCKETS, ids=lambda bucket: bucket.name)
def test_streams_allow_what_the_client_does(bucket: object) -> None:
    config = stream_config(bucket, replicas=3)  # type: ignore[arg-type]
    assert config["allow_direct"] is True
    assert config["allow_rollup_hdrs"] is True
    assert config["num_replicas"] == 3
    assert config["discard"] == ("old" if bucket.cache else "new")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "err_code", "description", "kind"),
    [
        (503, 10077, "maximum bytes exceeded", StoreFull),
        (503, 10077, "write: no space left on device", StoreFull),
        (503, 10077, "store is closed", Unavailable),
        (500, 10047, "insufficient storage resources available", StoreFull),
        (400, 10071, "wrong last sequence: 6", WrongSequence),
        (404, 10059, "stream not found", Unavailable),
        (503, 10008, "jetstream system temporarily unavailable", Unavailable),
        (400, 10054, "message size exceeds maximum allowed", Permanent),
    ],
)
def test_what_a_refusal_means(
    code: int, err_code: int, description: str, kind: type[ImageSystemError]
) -> None:
    error = error_of(ApiError(code, err_code, description), "a")
    assert type(error) is kind
