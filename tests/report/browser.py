"""Chromium without a driver: one process, told over a pipe what to load, at which size, and asked.

The pipe speaks the browser's own protocol of remote debugging: JSON, each message ended by a zero.
"""

import base64
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
INSTALL = "apt-get install -y chromium"

_PATIENCE = 120
"""Seconds after which a browser that says nothing is ended."""
_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe"),
)


class Browser:
    """A page is loaded as a file, so that its own policy holds; what is asked runs beside it."""

    def __init__(self, program, folder):
        self.folder, self.loaded, self.shown = folder, 0, None
        self._events, self._number, self._rest = [], 0, b""
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        ends = [_above(theirs_in), _above(theirs_out)]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCH, *map(str, ends)),
                *(program, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"),
            ],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)
        pages = self._tell("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in pages if one["type"] == "page")
        self._session = None
        self._session = self._tell("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._tell(f"{domain}.enable")

    def ask(self, page, script, *, width=1280, dark=False, media=""):
        """What the script's function body returns in the page, and what the console said."""
        state = (page, width, dark, media)
        if state != self.shown:
            self._show(*state)
        found = self._tell(
            "Runtime.evaluate",
            expression=f"JSON.stringify((() => {{ {script} }})() ?? null)",
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"]["exception"]["description"])
        self._tell("Runtime.evaluate", expression="0")  # what was said until now has come
        self.shown = None  # a script may have changed the page
        return json.loads(found["result"]["value"]), self._console()

    def look(self, page, script, **how):
        """As `ask`, of a script that changes nothing: the page is not loaded again for the next."""
        found = self.ask(page, script, **how)
        self.shown = (page, how.get("width", 1280), how.get("dark", False), how.get("media", ""))
        return found

    def violations(self, page, axe, **how):
        """What axe-core calls serious or critical: the rule, and the elements that break it."""
        self.look(page, "return 0;", **how)
        self._tell("Runtime.evaluate", expression=axe)
        found = self._tell(
            "Runtime.evaluate",
            expression="""axe.run(document).then(all => JSON.stringify(
              all.violations.filter(one => ["serious", "critical"].includes(one.impact)).map(one =>
                [one.id, one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))])))""",
            awaitPromise=True,
        )
        return json.loads(found["result"]["value"])

    def pdf(self, page):
        """The page as it is printed, in bytes."""
        self._show(page, 1280, False, "")
        self.shown = None
        return base64.b64decode(self._tell("Page.printToPDF", printBackground=False)["data"])

    def close(self):
        with contextlib.suppress(OSError):
            self._send("Browser.close")
        for end in (self._out, self._in):
            os.close(end)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _show(self, page, width, dark, media):
        self.loaded += 1
        path = self.folder / f"page-{self.loaded}.html"
        path.write_text(page, encoding="utf-8")
        self._tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=1200,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self._events.clear()
        self._tell("Page.navigate", url=path.as_uri())
        while not any(one["method"] == "Page.loadEventFired" for one in self._events):
            self._events.append(self._read())

    def _console(self):
        """What was said, thrown, or blocked, and every request but for the page itself."""
        said = []
        for one in self._events:
            told = one["params"]
            if one["method"] == "Runtime.consoleAPICalled":
                said.append(" ".join(str(a.get("value")) for a in told["args"]))
            elif one["method"] == "Runtime.exceptionThrown":
                said.append(told["exceptionDetails"]["text"])
            elif one["method"] == "Log.entryAdded":
                said.append(told["entry"]["text"])
            elif one["method"] == "Network.requestWillBeSent":
                url = told["request"]["url"]
                said += [] if url.startswith(("file:", "data:")) else [f"asked for {url}"]
        return said

    def _tell(self, method, **params):
        number = self._send(method, **params)
        while True:
            one = self._read()
            if one.get("id") == number:
                if "error" in one:
                    raise AssertionError(f"{method}: {one['error']}")
                return one["result"]
            if "method" in one:
                self._events.append(one)

    def _send(self, method, **params):
        self._number += 1
        told = {"id": self._number, "method": method, "params": params}
        if getattr(self, "_session", None):
            told["sessionId"] = self._session
        rest = json.dumps(told).encode() + b"\0"
        while rest:
            rest = rest[os.write(self._out, rest) :]
        return self._number

    def _read(self):
        end = threading.Timer(_PATIENCE, self.process.kill)
        end.start()
        try:
            while b"\0" not in self._rest:
                more = os.read(self._in, 1 << 16)
                if not more:
                    raise AssertionError("the browser has ended")
                self._rest += more
        finally:
            end.cancel()
        one, _, self._rest = self._rest.partition(b"\0")
        return json.loads(one)


def _above(end):
    """The same end of a pipe under a number that 3 and 4 do not overwrite."""
    return fcntl.fcntl(end, fcntl.F_DUPFD, 10)
