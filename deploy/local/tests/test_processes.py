from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from local_stack.processes import Identity, end_leftovers, identify, is_running

pytestmark = pytest.mark.integration
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(999)
"""


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores SIGTERM, and leads a group of its own as parts do."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_is_known_by_more_than_its_pid(stubborn: subprocess.Popen[bytes]) -> None:
    process = identify(stubborn.pid)
    assert is_running(process)
    assert not is_running(Identity(stubborn.pid, "another time"))
    assert not is_running(None)


def test_leftovers_are_ended_even_stubborn_ones(stubborn: subprocess.Popen[bytes]) -> None:
    process = identify(stubborn.pid)
    assert process is not None
    assert end_leftovers([process], patience_s=0.2) == [stubborn.pid]
    assert stubborn.wait() == -9


def test_somebody_elses_process_with_the_same_pid_is_left_alone() -> None:
    assert end_leftovers([Identity(os.getpid(), "another time")]) == []
