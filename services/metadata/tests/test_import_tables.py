"""CSV as spreadsheets and people write it."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from metadata_service.imports.rows import LONGEST, ImportedEdit, Unread
from metadata_service.imports.tables import CsvTable

from services.metadata.tests.samples import image_id

ONE, TWO = image_id(1), image_id(2)


async def rows(
    body: bytes, charset: str = "utf-8", step: int = 7
) -> list[tuple[int, ImportedEdit | Unread]]:
    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(body), step):
            yield body[begin : begin + step]

    return [row async for row in CsvTable(charset).rows(chunks())]


async def captions(body: bytes, charset: str = "utf-8") -> list[object]:
    found = await rows(body, charset)
    assert not any(isinstance(row, Unread) for _, row in found), found
    return [row.caption for _, row in found if isinstance(row, ImportedEdit)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
async def test_whatever_is_between_cells_and_lines(delimiter: str, ending: str):
    cells = [["id", "caption"], [ONE, '"low"'], [TWO, f'"a ""b""{delimiter}{ending} c"']]
    body = ending.join(delimiter.join(row) for row in cells).encode()
    for text in (body, b"\xef\xbb\xbf" + body, body.decode().encode("utf-16")):
        assert await captions(text) == ["low", f'a "b"{delimiter}\n c']


async def test_what_spreadsheets_say():
    body = (
        f'sep=;\r\n"ID";"Caption ";"Rating";"FAVOURITE";"tags"\r\n{ONE};Käse; 4;TRUE;"a; b;a"\r\n'
    )
    for text, charset in ((body.encode(), "utf-8"), (body.encode("cp1252"), "windows-1252")):
        ((line, row),) = await rows(text, charset)
        assert isinstance(row, ImportedEdit)
        assert (line, row.id, row.caption, row.rating) == (3, ONE, "Käse", 4)
        assert (row.favourite, row.tags) == (True, ["a", "b", "a"])


@pytest.mark.parametrize(
    ("cells", "column", "said"),
    [
        (f"{ONE},x,6,", "rating", "<= 5"),
        (f"{ONE},x,many,", "rating", "int"),
        (f"{ONE},x,,perhaps", "favourite", "bool"),
        ("7,x,,", "id", "7"),
        (f"{ONE},x,", None, "3 cells where the header has 4"),
        (f'{ONE},"x"y,,', None, "expected"),
        (f"{ONE},caf\udce9,,", "caption", "CSV UTF-8"),
    ],
)
async def test_a_wrong_cell_is_named_by_line_and_column(cells: str, column: str | None, said: str):
    table = f'id,caption,rating,favourite\n\n{TWO},"two\nlines",,\n{cells}\n{TWO},kept,,\n'
    first, second, third = await rows(table.encode("utf-8", "surrogateescape"))
    assert (first[0], second[0], third[0]) == (3, 5, 6)
    assert isinstance(second[1], Unread)
    assert second[1].column == column
    assert said in second[1].detail
    assert isinstance(third[1], ImportedEdit)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "no header"),
        ("name,caption", "none of them is id"),
        ("id,caption,ID", "'id' is there twice"),
        ("id,title", "none of these columns can be changed: id, title"),
        ("sep=;\nid,caption", "none of them is id"),
    ],
)
async def test_a_header_that_does_not_say_enough(header: str, said: str):
    with pytest.raises(Rejected, match=said) as refused:
        await rows(f"{header}\n{ONE},x,y\n".encode() if header else b"")
    assert (refused.value.status, refused.value.code) == (400, "invalid_header")


async def test_a_quote_that_is_never_closed_costs_what_comes_within_one_row():
    short = await rows(f'id,caption\n{ONE},ok\n{TWO},"open\n{ONE},x\n'.encode())
    assert [line for line, _ in short] == [2, 3]
    assert isinstance(short[1][1], Unread)
    assert "never closed" in short[1][1].detail
    many = f"{ONE},x\n" * (LONGEST // 20)
    long = await rows(f'id,caption\n{TWO},"open\n{many}'.encode(), step=4096)
    assert isinstance(long[0][1], Unread)
    assert (long[0][0], long[0][1].code) == (2, "row_too_long")
    assert len(long) > 100
    assert all(isinstance(row, ImportedEdit) for _, row in long[1:])


async def test_a_line_that_is_too_long_is_passed_over():
    body = f"id,caption\n{ONE},{'y' * 3 * LONGEST}\n{TWO},kept\n".encode()
    (first, bad), (second, row) = await rows(body, step=1000)
    assert (first, second) == (2, 3)
    assert isinstance(bad, Unread)
    assert isinstance(row, ImportedEdit)
    assert row.caption == "kept"


async def test_names_that_mean_nothing_are_told():
    async def chunks() -> AsyncIterator[bytes]:
        yield f"id,caption,captoin,width,\n{ONE},x,y,1,\n".encode()

    table = CsvTable("utf-8")
    assert len([row async for row in table.rows(chunks())]) == 1
    assert list(table.ignored) == ["captoin"]


CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\ufeff"), max_size=20
).filter(lambda text: text == text.strip(" "))


@given(
    st.lists(CELLS, min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(2, 50),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(deadline=None)
def test_what_is_written_is_read(
    texts: list[str], delimiter: str, ending: str, step: int, quoting: int
):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerows([["note", "id", "caption"], *(["", ONE, text] for text in texts)])
    found = asyncio.run(rows(out.getvalue().encode(), step=step))
    read = [row.caption for _, row in found if isinstance(row, ImportedEdit)]
    assert read == [text or read[number] for number, text in enumerate(texts)]
    assert len(read) == len(texts)
