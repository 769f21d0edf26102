import os
import subprocess
import sys
import time

import pytest
from bench.measure import LAUNCHER, Run, Summary, execute, interleave, read_plainly, write_plainly


def python(code, **options):
    return execute((sys.executable, "-c", code), **options)


def test_peak_is_that_of_the_child():
    small, large = python("pass"), python("b'x' * 300_000_000")
    assert large.fault is None
    assert 290 < large.peak_mb - small.peak_mb < 310


def test_peak_is_not_that_of_the_parent():
    held = b"x" * 300_000_000
    assert python("pass").peak_mb < 50 < len(held) / 1e6


def test_a_failing_command_is_a_fault():
    assert python("raise SystemExit(3)").fault == "exit 3"


def test_a_late_command_is_stopped():
    run = python("import time; time.sleep(60)", timeout=0.5)
    assert run.fault == "stopped after 0.5 s"
    assert run.seconds < 30


def test_a_stopped_launcher_takes_its_command_along(tmp_path):
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, LAUNCHER, "60", sys.executable, "-c", code]
    launcher = subprocess.Popen(command)
    while not (note.exists() and note.read_text()):
        time.sleep(0.02)
    launcher.terminate()
    assert launcher.wait(timeout=30) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_contenders_take_turns_and_a_faulty_one_stops():
    order = []

    def contender(name, fault=None):
        def once():
            order.append(name)
            return Run(1.0, fault=fault)

        return once

    found = interleave(
        {"a": contender("a"), "b": contender("b", "exit 1"), "c": contender("c")}, 3, lambda: None
    )
    assert "".join(order) == "abcacac"
    assert found["b"].fault == "exit 1"
    assert len(found["c"].runs) == 3


def test_summary_is_the_median_and_the_largest_peak():
    summary = Summary((Run(3.0, 0, 10.0), Run(1.0, 0, 30.0), Run(2.0, 0, 20.0)))
    assert (summary.seconds, summary.peak_mb) == (2.0, 30.0)
    assert str(summary) == "2.00 s (1.00 to 3.00)"


def test_plain_writes_write_every_byte(tmp_path):
    file = tmp_path / "new" / "plain"
    write_plainly(file, 20_000_001, durable=True)
    assert file.stat().st_size == 20_000_001
    read_plainly([file])
