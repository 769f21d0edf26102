"""The numeric part of the tests as other processors would run it.

Torch and MKL choose their kernels by what the processor can do; two variables of theirs make them
choose as on a lesser one. Each setting runs the tests anew, with one thread of torch and with two,
and gives a line: how many tests passed, and which did not.

    python -m bench.processors [TEST ...]
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.table import Table

TESTS = (
    "tests/ops",
    "tests/methods",
    "tests/reference",
    "tests/contract",
    "tests/golden",
    "tests/engine",
    "tests/test_core.py",
    "tests/test_identities.py",
)
KERNELS = (("default", "SSE4_2"), ("avx2", "AVX2"), ("avx512", "AVX512"))
"""ATEN_CPU_CAPABILITY and MKL_ENABLE_INSTRUCTIONS; above what the processor can do is ignored."""
THREADS = (1, 2)


def settings() -> Iterator[dict[str, str]]:
    for aten, mkl in KERNELS:
        for threads in THREADS:
            yield {
                "ATEN_CPU_CAPABILITY": aten,
                "MKL_ENABLE_INSTRUCTIONS": mkl,
                "OMP_NUM_THREADS": str(threads),
            }


def run(setting: dict[str, str], tests: list[str]) -> tuple[int, str, list[str]]:
    """The exit status, pytest's last line, and the names of tests that failed."""
    quiet = {"OMP_WAIT_POLICY": "passive"}  # waiting threads do not take time from working ones
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, env={**os.environ, **quiet, **setting}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    failed = [found[1] for line in lines if (found := re.match(r"(?:FAILED|ERROR) (\S+)", line))]
    return done.returncode, lines[-1] if lines else done.stderr[-500:], failed


def main() -> int:
    tests = sys.argv[1:] or list(TESTS)
    rows: list[tuple[str, str, str, str]] = []
    worst = 0
    for setting in settings():
        began = time.monotonic()
        status, last, failed = run(setting, tests)
        worst = max(worst, status)
        aten, mkl, threads = setting.values()
        count = re.match(r"\D*(?:\d+ failed, )?(\d+) passed", last)
        passed = f"{int(count[1]):,}" if count else last
        rows.append((f"{aten}, {mkl}", threads, passed, ", ".join(failed) or "none"))
        print(f"{setting}: {last} ({time.monotonic() - began:.0f} s)", flush=True)
    header = ("torch's kernels, MKL's", "threads", "passed", "failed")
    print(Table("Processors", header, rows).markdown())
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
