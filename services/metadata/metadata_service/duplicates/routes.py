"""HTTP of duplicates: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.duplicates.groups import Duplicates, Group
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.queries import Row
from metadata_service.views import ImageView, Selection, image_view

__all__ = ["ROUTES", "provide_duplicates"]

AnyRequest = Request[Any, Any, Any]
LIMIT = Annotated[int, msgspec.Meta(ge=1, le=100)]
PLACE = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: Members of one group that are told one by one; `size` counts them all.
LISTED = 100
SHOWN = Selection.parse(
    "id,owner,filename,media_type,width,height,size_bytes,sha256,uploaded_at,tags,links"
)
PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(
            name="kind",
            type=Literal["exact", "near"],
            description="only groups in which some have the same bytes, or some have others",
        ),
        Parameter(name="limit", type=LIMIT, description="groups on a page (100)", default=20),
        Parameter(name="cursor", type=PLACE, description="`next` of the page before"),
    )
}
_encode = msgspec.json.Encoder().encode


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A picture of a group, and how it is like the keeper.

    `distance`: bits in which the perceptual hashes differ (of 64), `cosine`: of the vectors; null
    where there is none to compare.
    """

    image: ImageView
    distance: int | None
    cosine: float | None


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures that are duplicates of each other.

    `id`: the image that was uploaded first; `keeper`: the one with the most pixels, then the
    sharpest, then the most bytes; `exact`: those with the same bytes as the keeper, `near`: those
    that look the same; `size`: how many there are with the keeper (at most 100 are told).
    """

    id: str
    keeper: ImageView
    exact: list[Member]
    near: list[Member]
    size: int


class GroupList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of groups, latest first; `total`: groups on all pages, `next`: null on the last."""

    items: list[GroupView]
    next: str | None
    count: int
    total: int


@get(
    "/metadata/duplicates",
    operation_class=operation(PARAMETERS),
    responses={200: ResponseSpec(GroupList, generate_examples=False, description="A page")},
    summary="Groups of pictures that are the same or look the same",
    tags=["similar"],
)
async def list_duplicates(
    request: AnyRequest,
    duplicates: NamedDependency[SkipValidation[Duplicates]],
    library: NamedDependency[SkipValidation[Library]],
) -> Response[bytes]:
    """Return the groups, that whose first picture came last first."""
    given = read(request.query_params.multi_items(), PARAMETERS)
    async with duplicates.sorting:
        found = [
            (place, group)
            for place, group in duplicates.groups()
            if given["kind"] is None or duplicates.has(group, given["kind"])
        ]
        after = given["cursor"]
        rest = [each for each in found if after is None or each[0] < after]
        page = rest[: given["limit"]]
        listed = {group.root: sorted(group.members - {group.keeper})[:LISTED] for _, group in page}
    names = {name for group in listed.values() for name in group}
    rows = await library.pictures(names | {group.keeper for _, group in page})
    items = [
        view
        for _, group in page
        if (view := _view(duplicates, group, listed[group.root], rows)) is not None
    ]
    answer = {
        "items": items,
        "next": str(page[-1][0]) if len(rest) > len(page) else None,
        "count": len(items),
        "total": len(found),
    }
    return Response(
        _encode(answer), media_type=MediaType.JSON, headers={"cache-control": "private, no-cache"}
    )


ROUTES = [list_duplicates]


def _view(
    duplicates: Duplicates, group: Group, listed: list[str], rows: dict[str, Row]
) -> Row | None:
    """Return the view of a group; None if its keeper is gone by now."""
    keeper = rows.get(group.keeper)
    if keeper is None:
        return None
    exact: list[Row] = []
    near: list[Row] = []
    for name in listed:
        row = rows.get(name)
        if row is None:
            continue
        cosine = duplicates.cosine(group.keeper, name)
        member = {
            "image": image_view(row, SHOWN),
            "distance": duplicates.distance(group.keeper, name),
            "cosine": None if cosine is None else round(cosine, 6),
        }
        same = row["uploaded"]["sha256"] == keeper["uploaded"]["sha256"]
        (exact if same else near).append(member)
    return {
        "id": group.root,
        "keeper": image_view(keeper, SHOWN),
        "exact": exact,
        "near": near,
        "size": len(group.members),
    }


def provide_duplicates(state: State) -> Duplicates:
    """Return the groups that the lifespan keeps."""
    duplicates: Duplicates = state.duplicates
    return duplicates
