"""What README.md and the tutorial tell people to type is typed, against a running stack.

Every block marked `sh` or `bash` is run, in the order of the page, in one shell: a variable
that one block sets, the next one has. The shell stops at the first command that fails. The
comment right before a block changes that:

    <!-- not run: REASON -->       the block is left out
    <!-- in a second terminal -->  it runs beside the others, which go on as soon as it has said
                                   something; it has to end by itself before the page is done
    <!-- saved as: NAME -->        a block of another language becomes a file of that name

Two things differ from what a reader has: the ports (8011 and 4222 stand for those of the stack),
and the folder, an empty one beside which `tests` lies. `uv run` and `image-system` are small
scripts that find this Python and this stack's data.

In all other pages, shell and Python blocks are only parsed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from imagesystem.topology import SERVICES
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import ROOT, Block, blocks, name, pages
from tests.system import System, running_system

RUN = ("README.md", "docs/tutorial.md")
SHELL = ("sh", "bash")
#: Statuses from 400 on that a page shows on purpose.
SHOWN = {"README.md": {"415"}}

BESIDE = """\
( {text}
) > {log} 2>&1 &
beside="${{beside:-}} $!"
for _ in $(seq 600); do [ -s {log} ] && break; sleep 0.1; done
[ -s {log} ]
"""


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("stack"), {}) as system:
        yield system


def script_of(page: list[Block]) -> str:
    """Return the page as one script; each block says its line when it begins."""
    parts = ["set -euo pipefail"]
    for block in page:
        if block.language not in SHELL or block.note.startswith("not run: "):
            continue
        parts.append(f"echo '== line {block.line}' >&2")
        if block.note == "in a second terminal":
            parts.append(BESIDE.format(text=block.text.strip(), log=f"beside-{block.line}.log"))
        else:
            parts.append(block.text)
    parts.append("for pid in ${beside:-}; do wait $pid; done")
    return "\n".join([*parts, "shopt -s nullglob", "for log in beside-*; do cat $log; done"])


def write_tools(folder: Path, data_dir: Path) -> None:
    """Write what stands for `uv run` and for `image-system`."""
    python = Path(sys.executable)
    tools = {
        "uv": '[ "$1" = run ] || { echo "not in this test: uv $1" >&2; exit 1; }\nshift\nexec "$@"',
        "image-system": f'exec {shlex.quote(str(python.with_name("image-system")))} "$@" '
        f"--data-dir {shlex.quote(str(data_dir))}",
        "python": f'exec {shlex.quote(str(python))} "$@"',
    }
    for tool, text in tools.items():
        path = folder / tool
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


async def refused(system: System) -> dict[tuple[str, str], float]:
    """Return how often each route has answered with each status from 400 on."""
    found: dict[tuple[str, str], float] = {}
    async with httpx.AsyncClient(base_url=system.url) as http:
        for service in SERVICES:
            text = (await http.get(f"/{service}/metrics")).text
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    labels = sample.labels
                    if sample.name == "http_requests_total" and labels["status"] >= "400":
                        found[labels["route"], labels["status"]] = sample.value
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("page", RUN)
async def test_what_people_are_told_to_type_works(
    page: str, system: System, tmp_path: Path
) -> None:
    found = blocks(ROOT / page)
    (tools := tmp_path / "tools").mkdir()
    write_tools(tools, system.stack.data_dir)
    (work := tmp_path / "work").mkdir()
    (work / "tests").symlink_to(ROOT / "tests")
    (work / ".curlrc").write_text("silent\nshow-error\n")
    for block in found:
        if block.note.startswith("saved as: "):
            (work / block.note.removeprefix("saved as: ")).write_text(block.text)
    script = script_of(found).replace("127.0.0.1:8011", system.url.removeprefix("http://"))
    script = script.replace("127.0.0.1:4222", f"127.0.0.1:{system.stack.plan.ports['nats']}")

    before = await refused(system)
    environ = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": str(work)}
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        cwd=work,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(shell.communicate(), 240)
    finally:
        if shell.returncode is None:
            shell.kill()
            await shell.wait()
    print(said.decode(errors="replace")[-6000:])
    assert shell.returncode == 0, "the last line shown above is the block's"
    after = await refused(system)
    new = {key for key, count in after.items() if count > before.get(key, 0)}
    unexpected = {key for key in new if key[1] not in SHOWN.get(page, set())}
    assert not unexpected, f"answered with an error, by route and status: {unexpected}"


@pytest.mark.parametrize("page", pages(), ids=name)
async def test_blocks_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.language in SHELL:
            check = await asyncio.create_subprocess_exec("bash", "-n", "-c", block.text)
            assert await check.wait() == 0, f"line {block.line}"
        elif block.language == "python":
            compile(block.text, f"{name(page)}:{block.line}", "exec")
