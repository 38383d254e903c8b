"""A folder augmented without a server: resumed to the byte, labels along, bad input named."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

Photo = Callable[..., bytes]

RECIPE = """
- operation: rotate
  parameters: {angle: [-20, 20]}
- operation: gaussian_noise
  parameters: {std: [2, 10]}
"""
#: Ends a wait that will never succeed.
PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path, photo: Photo) -> Path:
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.png").write_bytes(photo(size=(60, 40)))
    (folder / "b.jpg").write_bytes(photo("JPEG", size=(64, 48)))
    (folder / "inner" / "a.png").write_bytes(photo(size=(30, 50)))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return folder


def command(folder: Path, out: str, *more: str) -> list[str]:
    program = [sys.executable, "-m", "augmentation_service", "augment", str(folder)]
    options = ["--recipe", str(folder.parent / "recipe.yaml"), "--out", str(folder.parent / out)]
    return [*program, *options, "--workers", "1", *more]


def augment(folder: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, out, *more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def tree(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_run_that_was_killed_ends_with_the_same_bytes(folder: Path) -> None:
    whole = augment(folder, "whole", "--variants", "30")
    assert whole.returncode == 0, whole.stderr
    out = folder.parent / "killed"
    process = subprocess.Popen(command(folder, "killed", "--variants", "30"))
    deadline = time.monotonic() + PATIENCE_S
    while len(list(out.glob("records/**/*.json"))) < 10:
        assert process.poll() is None, "it was over before it was killed: make it larger"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE_S)
    assert not alive, "workers end with their run"
    assert not (out / "results.jsonl").exists()
    again = augment(folder, "killed", "--variants", "30")
    assert again.returncode == 0, again.stderr
    assert "were there" in again.stderr
    assert tree(out) == tree(folder.parent / "whole")


def test_more_variants_are_added_to_those_that_are_there(folder: Path) -> None:
    augment(folder, "out", "--variants", "2")
    before = tree(folder.parent / "out")
    more = augment(folder, "out", "--variants", "3")
    assert "3 variants made, 6 were there" in more.stderr
    after = tree(folder.parent / "out")
    assert all(after[name] == data for name, data in before.items() if name != "results.jsonl")


def test_a_picture_that_changed_is_made_again(folder: Path, photo: Photo) -> None:
    augment(folder, "out")
    (folder / "a.png").write_bytes(photo(size=(61, 40)))
    assert "1 variants made, 2 were there" in augment(folder, "out").stderr


def test_broken_pictures_are_passed_over_and_named(folder: Path) -> None:
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "empty.jpg").write_bytes(b"")
    done = augment(folder, "out", "--variants", "2")
    assert done.returncode == 1
    assert "broken.png: corrupt_pixels" in done.stderr
    assert "empty.jpg: empty_file" in done.stderr
    lines = (folder.parent / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == [
        f"images/{key}-{variant}.png" for key in ("a", "b", "inner/a") for variant in (0, 1)
    ]


def test_labels_go_along(folder: Path) -> None:
    (folder.parent / "recipe.yaml").write_text("- {operation: flip, parameters: {axis: y}}")
    (folder / "a.txt").write_text("1 0.25 0.5 0.5 1\n")
    (folder / "inner" / "a.txt").write_text("0 0 0 0.5 0 0.5 0.5\n")
    (folder / "data.yaml").write_text("names: {0: dog, 1: cat}")
    out = folder.parent / "out"
    done = augment(folder, "out", "--labels", "yolo")
    assert done.returncode == 0, done.stderr
    assert (out / "labels" / "a-0.txt").read_text() == "1 0.750000 0.500000 0.500000 1.000000\n"
    assert (out / "labels" / "inner" / "a-0.txt").read_text().startswith("0 1.000000 0.000000")
    assert (out / "labels" / "b-0.txt").read_text() == ""
    assert '1: "cat"' in (out / "data.yaml").read_text()
    coco = augment(folder, "coco", "--labels", "yolo", "--labels-out", "coco")
    assert coco.returncode == 0, coco.stderr
    document = json.loads((folder.parent / "coco" / "annotations.json").read_text())
    assert [image["file_name"] for image in document["images"]] == [
        "images/a-0.png",
        "images/b-0.png",
        "images/inner/a-0.png",
    ]
    assert document["annotations"][0]["bbox"] == [30, 0, 30, 40]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("- operation: rotat", "recipe[0].operation: there is no operation 'rotat'"),
        ("- {operation: rotate, parameters: {angle: 500}}", "500 is not in -360 to 360"),
        ("- [", "neither YAML nor JSON"),
        ("operation: rotate", "a recipe is a list of steps"),
    ],
)
def test_a_bad_recipe_is_told_by_its_step(folder: Path, recipe: str, said: str) -> None:
    (folder.parent / "recipe.yaml").write_text(recipe)
    done = augment(folder, "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (folder.parent / "out").exists()


def test_what_was_made_otherwise_is_not_mixed(folder: Path) -> None:
    augment(folder, "out")
    done = augment(folder, "out", "--seed", "1")
    assert done.returncode == 2
    assert "was made with another seed" in done.stderr
    (folder.parent / "mine").mkdir()
    (folder.parent / "mine" / "thesis.txt").write_text("mine")
    done = augment(folder, "mine")
    assert done.returncode == 2
    assert "not empty" in done.stderr
