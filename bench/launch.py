"""Run one command and say, as JSON, how long it took and how much memory it held at most.

    python -I -S launch.py SECONDS COMMAND...

A process of its own, of nothing but the standard library: Linux counts in the peak of a child what
its parent held when it started it, so whoever starts a measured command has to be small.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from threading import Timer


def launch(argv: list[str], timeout: float) -> dict[str, object]:
    """Wait for the command, or kill it and what it started after `timeout` seconds."""
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        os.killpg(process.pid, signal.SIGKILL)

    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        late = Timer(timeout, stop)
        late.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            stop()
            process.wait()
            raise
        finally:
            late.cancel()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
        return {
            "seconds": seconds,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
            "code": process.returncode,
            "stopped": bool(stopped),
            "said": said.read().decode(errors="replace").strip(),
        }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the command ends with it
    json.dump(launch(sys.argv[2:], float(sys.argv[1])), sys.stdout)
