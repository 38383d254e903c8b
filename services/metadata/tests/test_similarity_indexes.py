"""Indexes of vectors against plain NumPy: what is found, what is kept, what readers see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_service.similarity.collection import Collection
from metadata_service.similarity.exact import Exact, best
from metadata_service.similarity.hnsw import Approximate, Graph
from metadata_service.similarity.rows import Precision, Rows
from metadata_service.similarity.vectors import unit, units

from services.metadata.tests.samples import image_id


def clustered(count: int, dimensions: int, seed: int = 1) -> np.ndarray:
    """Vectors as pictures have them: around centres, of length 1."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(4, count // 50), dimensions))
    vectors = centres[random.integers(len(centres), size=count)]
    vectors = vectors + 0.6 * random.normal(size=vectors.shape)
    made: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("f4")
    return made


Step = tuple[int, int]


@given(
    steps=st.lists(st.tuples(st.integers(0, 11), st.integers(-1, 30)), max_size=60),
    count=st.integers(1, 15),
    precision=st.sampled_from(["float32", "float16"]),
)
@settings(max_examples=60, deadline=None)
def test_exact_search_is_what_numpy_says(steps: list[Step], count: int, precision: Precision):
    """Put, replaced, forgotten (-1) and compacted in any order."""
    pool = clustered(31, 8)
    index = Collection(8, precision=precision, graph_from=10**9)
    reference: dict[str, np.ndarray] = {}
    for number, which in steps:
        name = image_id(number)
        if which < 0:
            index.remove(name)
            reference.pop(name, None)
        else:
            index.put(name, pool[which])
            reference[name] = pool[which].astype(precision).astype("f4")
        if which == 30:
            index.take(index.rows.compacted(), None)
    query = clustered(1, 8, seed=9)[0]
    found = index.snapshot().search(query, count)
    expected = sorted((float(v @ query) for v in reference.values()), reverse=True)[:count]
    assert len(index) == len(reference)
    assert [each.cosine for each in found] == pytest.approx(expected, abs=1e-5)
    for each in found:
        assert each.cosine == pytest.approx(float(reference[each.image_id] @ query), abs=1e-5)


@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=3000),
    count=st.integers(1, 12),
)
@settings(max_examples=50, deadline=None)
def test_the_best_are_the_best(values: list[float], count: int):
    scores = np.array(values, dtype="f4")
    assert scores[best(scores, count)].tolist() == sorted(scores.tolist(), reverse=True)[:count]


def test_a_reader_sees_what_there_was():
    rows = Rows(8)
    vectors = clustered(10, 8)
    for number in range(5):
        rows.put(image_id(number), vectors[number])
    reader = Exact(rows)
    rows.put(image_id(9), vectors[0])
    rows.put(image_id(1), vectors[7])
    found = {each.image_id: each.cosine for each in reader.search(vectors[0], 10)}
    assert image_id(9) not in found
    # What was replaced is not found as it was, what is new not yet: never half of each.
    assert image_id(1) not in found
    assert found[image_id(0)] == pytest.approx(1.0, abs=1e-6)


async def test_a_graph_finds_nearly_all_that_exact_search_finds():
    vectors = clustered(6000, 64)
    index = Collection(64, precision="float32", graph_from=1000)
    for number, vector in enumerate(vectors[:5000]):
        index.put(image_id(number), vector)
    assert await index.tend()
    assert index.graph is not None
    assert index.graph.count == 5000
    for number, vector in enumerate(vectors[5000:], start=5000):
        index.put(image_id(number), vector)
    for number in range(0, 6000, 7):
        index.remove(image_id(number))
    assert isinstance(index.snapshot(), Approximate)
    exact, found, shared = Exact(index.rows), index.snapshot(), 0
    queries = clustered(6000, 64)[:200] * 0.9 + clustered(200, 64, seed=5) * 0.1
    for query in queries:
        wanted = {each.image_id for each in exact.search(query, 10)}
        got = found.search(query, 10)
        assert len(got) == 10
        cosines = [each.cosine for each in got]
        assert cosines == sorted(cosines, reverse=True)
        shared += len(wanted & {each.image_id for each in got})
    assert shared / 2000 >= 0.95


async def test_what_came_after_the_graph_is_found_at_once():
    vectors = clustered(5000, 32)
    index = Collection(32, precision="float16", graph_from=1000)
    for number, vector in enumerate(vectors[:-1]):
        index.put(image_id(number), vector)
    await index.tend()
    assert index.graph is not None
    index.put(image_id(4999), vectors[-1])
    assert index.snapshot().search(vectors[-1], 1)[0].image_id == image_id(4999)
    index.remove(image_id(4999))
    assert image_id(4999) not in {e.image_id for e in index.snapshot().search(vectors[-1], 50)}


def test_a_graph_that_is_not_of_these_rows_is_not_taken(tmp_path: Path):
    rows = Rows(16)
    for number, vector in enumerate(clustered(100, 16)):
        rows.put(image_id(number), vector)
    graph = Graph(16).extended(rows, 100, 1, lambda: False)
    graph.save(tmp_path / "graph")
    assert Graph.load(tmp_path / "graph", 16, 100) is not None
    assert Graph.load(tmp_path / "graph", 16, 99) is None
    (tmp_path / "graph").write_bytes(b"no graph at all")
    assert Graph.load(tmp_path / "graph", 16, 100) is None


def test_vectors_without_direction_are_none():
    assert unit(np.zeros(3)) is None
    assert unit(np.array([1.0, np.nan])) is None
    assert unit(np.array([np.inf, 1.0])) is None
    scaled = unit(np.array([3.0, 4.0]))
    assert scaled is not None
    assert scaled.tolist() == pytest.approx([0.6, 0.8])


def test_many_vectors_are_scaled_as_each_alone():
    values = np.vstack([clustered(50, 8) * 3, np.zeros((1, 8)), np.full((1, 8), np.nan)])
    values = np.vstack([values, np.full((1, 8), 3e38)]).astype(np.float32)
    scaled, good = units(values)
    for each, one, is_good in zip(values, scaled, good, strict=True):
        alone = unit(each)
        assert (alone is not None) == is_good
        if alone is not None:
            assert one.tolist() == pytest.approx(alone.tolist(), rel=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_rows_that_are_written_together_are_those_written_one_by_one(
    precision: Precision, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("metadata_service.similarity.rows.BLOCK", 16)
    vectors = clustered(70, 8)
    names = [image_id(number) for number in range(70)]
    alone, together = Rows(8, precision), Rows(8, precision)
    for name, vector in zip(names, vectors, strict=True):
        alone.put(name, vector)
    for part in (slice(0, 5), slice(5, 6), slice(6, 60), slice(60, 70)):
        together.extend(names[part], vectors[part])
    together.extend([], vectors[:0])
    assert (together.count, len(together)) == (alone.count, len(alone)) == (70, 70)
    for number, name in enumerate(names):
        assert together.row_of(name) == number
        assert together.image_id(number) == name
        assert together.vector(number).tolist() == alone.vector(number).tolist()
    together.remove(names[20])
    together.put(names[3], vectors[4])
    assert (len(together), together.wasted, together.row_of(names[3])) == (69, 2, 70)
