from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A picture's worth of memory, taken and freed: how many pages the system hands out for the last.
PROGRAM = """
import resource, sys
from image_service import heap

heap.keep(int(sys.argv[1]))
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    picture = bytearray(b"x") * 20_000_000
    del picture
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults(kept: int) -> int:
    command = [sys.executable, "-c", PROGRAM, str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_of_one_picture_serves_the_next_and_what_is_too_much_is_given_back():
    assert faults(kept=32_000_000) * 2 < faults(kept=1_000_000)
