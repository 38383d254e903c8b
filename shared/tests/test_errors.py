from __future__ import annotations

import pickle

import pytest
from imagesystem import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.Transient("busy", code="too_many"),
        errors.Unavailable("mongodb"),
        errors.Rejected(413, "too_large", "too large", limit="MAX", allowed=1, actual=2),
        errors.ImageDeleted("gone"),
    ],
)
def test_errors_cross_process_borders_whole(error: errors.ImageSystemError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_three_branches_do_not_overlap() -> None:
    branches = (errors.Transient, errors.Permanent, errors.Rejected)
    for name in errors.__all__:
        kind = getattr(errors, name)
        if kind is not errors.ImageSystemError:
            assert sum(issubclass(kind, branch) for branch in branches) == 1, name
