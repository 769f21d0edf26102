"""Few cases of every campaign, so that a promise that broke shows in each run of the tests."""

import subprocess
import sys
from pathlib import Path


def test_every_campaign_holds_in_a_few_cases():
    command = [sys.executable, "-m", "bench.reliability", "--quick"]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "BROKEN" not in run.stdout
    assert run.stdout.count("\n| ") > 3
