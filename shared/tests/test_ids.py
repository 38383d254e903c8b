from __future__ import annotations

import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem import ids
from imagesystem.errors import Rejected


@given(st.lists(st.binary(max_size=64), max_size=8), st.text(max_size=16))
def test_an_id_depends_on_owner_and_bytes_not_on_how_they_arrive(
    pieces: list[bytes], owner: str
) -> None:
    hasher = ids.ImageIdHasher(owner)
    for piece in pieces:
        hasher.update(piece)
    whole = b"".join(pieces)
    assert hasher.image_id == ids.image_id(whole, owner)
    assert hasher.size == len(whole)
    assert hasher.sha256 == hashlib.sha256(whole).hexdigest()
    assert ids.image_id(whole, owner + "x") != hasher.image_id


def test_an_id_is_a_uuid_version_8() -> None:
    parsed = uuid.UUID(ids.image_id(b"picture"))
    assert parsed.version == 8
    assert parsed.variant == uuid.RFC_4122
    assert ids.parse_image_id(str(parsed)) == str(parsed)
    assert ids.parse_image_id(str(parsed).upper()) == str(parsed)


def test_owner_and_bytes_cannot_be_shifted_into_each_other() -> None:
    assert ids.image_id(b"b", "a") != ids.image_id(b"", "ab")


@pytest.mark.parametrize(
    "text",
    ["", "x", "..", "../../etc/passwd", "*", ">", "a" * 10_000, "\x00",
     "68302df8-9890-403b-be4b-724bd07d6a32",
     "{" + ids.image_id(b"") + "}", ids.image_id(b"").replace("-", "")],
)  # fmt: skip
def test_anything_else_is_no_image_id(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        ids.parse_image_id(text)
    assert (caught.value.status, caught.value.code) == (400, "malformed_image_id")
