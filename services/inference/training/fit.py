"""Learn the weights of `kind` and report how well they do.

`uv run python -m services.inference.training.fit` learns from one set of specimens, measures on
another, and writes the weights (analysis/kind_weights.py) and the tables
(docs/explanation/analysis.md, between its markers). `--report` leaves the weights as they are.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from inference_service.analysis import SCALE, kind_weights
from inference_service.analysis.colours import histogram
from inference_service.analysis.kind import NAMES, find_evidence
from inference_service.analysis.texture import find_edges
from inference_service.decoding import Picture
from numpy.typing import NDArray

from services.inference.training.specimens import specimens

__all__ = ["Rule", "Sample", "measure", "samples"]

ROOT = Path(__file__).parents[3]
WEIGHTS = Path(kind_weights.__file__)
PAGE = ROOT / "docs" / "explanation" / "analysis.md"
LEARN, CHECK = (1, 420), (2, 210)
PENALTY, STEPS, RATE = 1e-3, 4000, 0.5

Floats = NDArray[np.float64]


class Sample(NamedTuple):
    """A specimen's kind (index into `NAMES`), what made it, and its evidence (n,)."""

    kind: int
    maker: str
    evidence: Floats


class Rule(NamedTuple):
    """A linear rule: `weights` (3, n) over evidence made comparable by `centre`, `spread`."""

    centre: Floats
    spread: Floats
    weights: Floats
    bias: Floats

    def __call__(self, evidence: Floats) -> NDArray[np.intp]:
        """Return the kinds (m,) of the evidence (m, n)."""
        scores = (evidence - self.centre) / self.spread @ self.weights.T + self.bias
        return np.asarray(scores.argmax(axis=1))


def measure(pixels: NDArray[np.uint8]) -> Floats:
    """Return the evidence in `pixels` uint8 (h, w, 3), at the analysis scale."""
    picture = Picture(pixels=pixels, width=pixels.shape[1], height=pixels.shape[0])
    small = picture.reduced(SCALE).pixels
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    evidence = find_evidence(small, luma, find_edges(luma), histogram(small)[1])
    return np.array(list(evidence.values()))


def samples(count: int, seed: int) -> list[Sample]:
    """Return the evidence of `count` specimens of each kind."""
    return [
        Sample(NAMES.index(kind), maker, measure(pixels))
        for kind, maker, pixels in specimens(count, seed)
    ]


def learn(learned: list[Sample]) -> Rule:
    """Return the rule by gradient descent on the cross-entropy with a squared penalty."""
    evidence = np.stack([sample.evidence for sample in learned])
    wanted = np.eye(len(NAMES))[[sample.kind for sample in learned]]
    centre, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-9
    inputs = np.column_stack([(evidence - centre) / spread, np.ones(len(evidence))])
    weights = np.zeros((inputs.shape[1], len(NAMES)))
    for _ in range(STEPS):
        scores = inputs @ weights
        likelihood = np.exp(scores - scores.max(axis=1, keepdims=True))
        likelihood /= likelihood.sum(axis=1, keepdims=True)
        gradient = inputs.T @ (likelihood - wanted) / len(inputs) + PENALTY * weights
        weights -= RATE * gradient
    return Rule(centre, spread, weights[:-1].T, weights[-1])


def in_use() -> Rule:
    """Return the rule whose weights are committed."""
    return Rule(
        *(
            np.array(table)
            for table in (
                kind_weights.CENTRE,
                kind_weights.SPREAD,
                kind_weights.WEIGHTS,
                kind_weights.BIAS,
            )
        )
    )


def correct(rule: Rule, checked: list[Sample]) -> NDArray[np.bool_]:
    """Return for each sample whether the rule is right."""
    found = rule(np.stack([sample.evidence for sample in checked]))
    return np.asarray(found == [sample.kind for sample in checked])


def confusion(rule: Rule, checked: list[Sample]) -> NDArray[np.int_]:
    """Return the confusion table (3, 3): rows what it is, columns what is said."""
    table = np.zeros((len(NAMES), len(NAMES)), int)
    found = rule(np.stack([sample.evidence for sample in checked]))
    np.add.at(table, ([sample.kind for sample in checked], found), 1)
    return table


def report(rule: Rule, learned: list[Sample], checked: list[Sample]) -> str:
    """Return the tables in Markdown."""
    table = confusion(rule, checked)
    lines = [
        "| it is ↓ said to be → | " + " | ".join(NAMES) + " | right |",
        "|---|---|---|---|---|",
    ]
    for name, row in zip(NAMES, table.tolist(), strict=True):
        share = row[NAMES.index(name)] / sum(row)
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + f" | {share:.1%} |")
    right = correct(rule, checked)
    lines += [
        "",
        f"{right.mean():.1%} of {len(checked)} specimens; learned from {len(learned)} others.",
        "",
        "| made by | specimens | right | right when the rule never saw its like |",
        "|---|---|---|---|",
    ]
    for maker in dict.fromkeys(sample.maker for sample in checked):
        of_maker = [sample for sample in checked if sample.maker == maker]
        without = learn([sample for sample in learned if sample.maker != maker])
        lines.append(
            f"| {maker} | {len(of_maker)} | {correct(rule, of_maker).mean():.0%} | "
            f"{correct(without, of_maker).mean():.0%} |"
        )
    return "\n".join(lines)


def write_weights(rule: Rule) -> None:
    """Write the rule as a module."""

    def row(values: Floats) -> str:
        return "[\n" + "".join(f"    {value:.5f},\n" for value in values.tolist()) + "]"

    rows = "".join(
        "    [\n" + "".join(f"        {value:.5f},\n" for value in weights) + "    ],\n"
        for weights in rule.weights.tolist()
    )
    WEIGHTS.write_text(
        '"""The weights of `kind`: written by training/fit.py, not by hand."""\n\n'
        "from __future__ import annotations\n\n"
        '__all__ = ["BIAS", "CENTRE", "SPREAD", "WEIGHTS"]\n\n'
        "#: What is ordinary, and how far it strays, for the rows of `kind.EVIDENCE`.\n"
        f"CENTRE = {row(rule.centre)}\nSPREAD = {row(rule.spread)}\n"
        f"#: For photo, graphic and document.\nBIAS = {row(rule.bias)}\nWEIGHTS = [\n{rows}]\n"
    )


def main() -> None:
    """Learn unless told otherwise, measure, and write the results where they belong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true", help="leave the weights as they are")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    learned, checked = samples(LEARN[1], LEARN[0]), samples(CHECK[1], CHECK[0])
    rule = in_use() if arguments.report else learn(learned)
    if not arguments.report:
        write_weights(rule)
    tables = report(rule, learned, checked)
    text = PAGE.read_text()
    begin, end = "<!-- kind: begin -->", "<!-- kind: end -->"
    PAGE.write_text(
        re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{tables}\n{end}", text, flags=re.DOTALL)
    )
    print(tables)  # noqa: T201  what the command is for


if __name__ == "__main__":
    main()
