"""How long commands take to start: the fastest of five, in seconds, as docs/installing.md has it.

python -m bench.starting
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

TIMES = 5
PROGRAM = "import sys; from stockpot.cli import main; sys.argv[0] = 'stockpot'; main()"
COMPLETION = "from stockpot.cli.app import program; program().generate_completion(shell='bash')"


def seconds(code: str, *words: str) -> float:
    """The shortest wall time of a process of its own."""
    found: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    """Print a row for each command."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "m.safetensors"
        save_file({"w": torch.ones(8, 8)}, model)
        for words in (["--version"], ["--help"], ["methods"], ["inspect", str(model)]):
            print(f"| `stockpot {words[0]}` | {seconds(PROGRAM, *words):.2f} |")
        print(f"| the text of the completion | {seconds(COMPLETION):.2f} |")


if __name__ == "__main__":
    main()
