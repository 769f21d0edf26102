"""A server that is killed in a round goes on to the bytes of an unbroken run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from stockpot.federated.rounds.server import rounds_in

EXPERIMENT = """\
network: {name: cnn, width: 4}
data: digits
split: {test: 0.3}
federated:
  clients: 4
  rounds: 12
  participation: 0.75
  local: {epochs: 2, momentum: 0.9}
  runs: [wsa]
"""


def command(folder: Path, out: str) -> list[str]:
    run = "from stockpot.cli.app import main; main()"
    return [sys.executable, "-c", run, "federate", str(folder / "e.yml"), "--out", out, "--quiet"]


def test_a_killed_server_goes_on_to_the_same_bytes(tmp_path: Path):
    (tmp_path / "e.yml").write_text(EXPERIMENT, encoding="utf8")
    place = Path("alpha-0.5/wsa/seed-0.safetensors")
    subprocess.run(command(tmp_path, "whole"), cwd=tmp_path, check=True)
    broken, until = tmp_path / "broken" / place, time.monotonic() + 120
    with subprocess.Popen(command(tmp_path, "broken"), cwd=tmp_path) as process:
        while not broken.exists() or len(rounds_in(broken)) < 3:
            assert time.monotonic() < until
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 3 <= len(rounds_in(broken)) < 13
    assert broken.read_bytes() != (tmp_path / "whole" / place).read_bytes()
    subprocess.run(command(tmp_path, "broken"), cwd=tmp_path, check=True)
    assert broken.read_bytes() == (tmp_path / "whole" / place).read_bytes()
