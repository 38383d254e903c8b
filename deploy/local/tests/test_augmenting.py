"""`image-system augment`: its options reach the program that does the work, and its answer us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_a_folder_is_augmented_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (20, 10), "red").save(tmp_path / "in" / "a red one.png")
    (tmp_path / "recipe.yaml").write_text("- {operation: transpose}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "local_stack", "augment", "in", "--recipe", "recipe.yaml"),
            *("--out", "out", "--variants", "2", "--format", "webp", "--workers", "1"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = sorted((tmp_path / "out" / "images").iterdir())
    assert [path.name for path in made] == ["a red one-0.webp", "a red one-1.webp"]
    assert Image.open(made[0]).size == (10, 20)


def test_what_is_wrong_is_told_with_the_exit_status_of_wrong_usage(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "local_stack", "augment", "nowhere"),
            *("--recipe", "none.yaml", "--out", "out"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
