from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from metadata_service.cursors import Cursors, cursor_key
from metadata_service.queries import NEWEST, Position
from metadata_service.settings import Settings

from services.metadata.tests.samples import IMAGE

CURSORS = Cursors(b"key")
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


@given(MOMENTS, st.text(max_size=40))
def test_a_cursor_comes_back_as_it_went(moment: datetime, name: str):
    position = Position(key=moment, image_id=name)
    text = CURSORS.write(NEWEST, position)
    if len(text) <= 256:
        assert CURSORS.read(text) == (NEWEST, position)
    assert text.isascii()


@given(st.data())
def test_a_cursor_that_was_touched_is_refused(data: st.DataObject):
    text = CURSORS.write(NEWEST, Position(key=datetime(2026, 1, 1, tzinfo=UTC), image_id=IMAGE))
    index = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.characters().filter(lambda letter: letter != text[index]))
    with pytest.raises(Rejected) as raised:
        CURSORS.read(text[:index] + other + text[index + 1 :])
    assert (raised.value.status, raised.value.code) == (400, "malformed_cursor")


def test_a_cursor_of_another_key_is_refused():
    text = Cursors(b"other").write(
        NEWEST, Position(key=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1), image_id=IMAGE)
    )
    with pytest.raises(Rejected):
        CURSORS.read(text)


def test_replicas_sign_alike_and_installations_do_not():
    url = "mongodb://user:secret@host:27017"
    assert cursor_key(Settings(mongodb_url=url)) == cursor_key(Settings(mongodb_url=url))
    assert cursor_key(Settings(mongodb_url=url)) != cursor_key(Settings())
    assert cursor_key(Settings(mongodb_url=url, cursor_secret="x")) == cursor_key(
        Settings(cursor_secret="x")
    )
