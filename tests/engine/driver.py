"""A merge in a process of its own, with faults at exact points; driven line by line by its parent.

It imports stockpot once and forks for every job, so that a hundred kills take seconds. A job may
be killed, held, or fail at its n-th operation on a file; operations are counted over everything
that touches the disk: reads of inputs, writes, journal lines, fsyncs, renames, deletions.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from stockpot import system
from stockpot.checkpoints.source import FileSource
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.errors import StockpotError
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.system import linux, portable

OPERATIONS = (
    "preadv", "pwrite", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "mkdir",
    "rmdir", "link",
)  # fmt: skip


class Watch:
    """Counts operations, and makes one of them go wrong."""

    def __init__(self, job):
        self.job, self.lock = job, threading.Lock()
        self.count, self.read, self.written = 0, 0, 0
        self.log = []

    def install(self):
        for name in OPERATIONS:
            setattr(os, name, self.wrapped(name, getattr(os, name)))
        linux.renameat2 = self.wrapped("renameat2", linux.renameat2)
        if system.here is portable:
            portable.write_back = os.fdatasync  # comes when it likes: not to be counted
            portable.read_at = self.wrapped("preadv", portable.read_at)
            portable.write_at = self.wrapped("pwrite", portable.write_at)
        if self.job.get("no_exchange"):  # as on a system without renameat2
            linux.ctypes.CDLL = lambda *_, **__: object()
        inner = FileSource.read_into

        def read_into(source, buffer, offset):
            with self.lock:
                self.read += len(buffer)
            inner(source, buffer, offset)

        FileSource.read_into = read_into

    def wrapped(self, name, function):
        def operation(*given, **named):
            with self.lock:
                self.count += 1
                self.log.append(name)
                now = self.count
            self.trouble(now, name)
            result = function(*given, **named)
            if name == "pwrite":
                with self.lock:
                    self.written += result
            return result

        return operation

    def trouble(self, now, name):
        job = self.job
        if name == "preadv" and job.get("delay"):
            time.sleep(job["delay"])
        if now == job.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if now == job.get("hold_at"):
            Path(job["reached"]).touch()
            while not Path(job["go"]).exists():
                time.sleep(0.005)
        fault = job.get("fault")
        if fault and name == fault["call"] and self.log.count(name) >= fault["at"]:
            raise OSError(fault["errno"], os.strerror(fault["errno"]))


def perform(job):
    faulthandler.dump_traceback_later(120, exit=True)  # a deadlock fails its test, and says where
    if "fsize" in job:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["fsize"], job["fsize"]))
    watch = Watch(job)
    report = {}
    try:
        recipe = parse_recipe(job["recipe"])
        watch.install()
        merged = run_recipe(recipe, job["out"], Options(**job.get("options", {})))
        report["merged"] = {
            "tensors": merged.tensors,
            "resumed": merged.resumed,
            "bytes_read": merged.bytes_read,
            "bytes_written": merged.bytes_written,
        }
    except StockpotError as error:
        report["error"] = str(error)
    except KeyboardInterrupt:
        report["error"] = "KeyboardInterrupt"
    except BaseException:
        report["crash"] = traceback.format_exc()
    report |= {"operations": watch.count, "log": watch.log}
    report |= {"read": watch.read, "written": watch.written}
    return report


def main():
    children = {}
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            reading = children.pop(job["wait"])
            with os.fdopen(reading) as pipe:
                text = pipe.read()
            _, status = os.waitpid(job["wait"], 0)
            answer = (json.loads(text) if text else {}) | {
                "status": os.waitstatus_to_exitcode(status)
            }
        else:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                report = json.dumps(perform(job)).encode()
                with os.fdopen(writing, "wb") as pipe:
                    pipe.write(report)
                os._exit(0)
            os.close(writing)
            children[pid] = reading
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
