"""Chromium without a driver: a page is loaded, a script of ours runs in it, its answer comes back.

The script leaves its answer in an element; the browser prints the finished document.
"""

import html
import json
import re
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
INSTALL = "apt-get install -y chromium"

_ANSWER = re.compile(r'<script id="answer"[^>]*>(.*?)</script>', re.DOTALL)
_ASK = """<script>
const answer = document.createElement("script");
answer.id = "answer";
answer.type = "application/json";
answer.textContent = JSON.stringify((() => {{ {script} }})()).replaceAll("<", "\\\\u003c");
document.body.append(answer);
</script>"""


class Browser:
    def __init__(self, program, folder):
        self.program, self.folder, self.loaded = program, folder, 0

    def ask(self, page, script, *, width=1280, dark=False):
        """What the script's function body returns in the page, and what the console said."""
        self.loaded += 1
        path = self.folder / f"page-{self.loaded}.html"
        asked = page.replace("</body>", _ASK.format(script=script) + "</body>")
        path.write_text(asked, encoding="utf-8")
        done = self._run(
            path, "--dump-dom", f"--window-size={width},1200", *(["--force-dark-mode"] * dark)
        )
        (found,) = _ANSWER.findall(done.stdout)
        return json.loads(html.unescape(found)), self._console(done.stderr)

    def _run(self, path, *flags):
        return subprocess.run(
            [
                self.program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                "--virtual-time-budget=2000",
                f"--user-data-dir={self.folder / 'profile'}",
                *flags,
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )

    @staticmethod
    def _console(stderr):
        return [line for line in stderr.splitlines() if "CONSOLE" in line]
