import os
import shutil
from pathlib import Path

import pytest

from stockpot.report import render_page

from .browser import INSTALL, NAMES, Browser
from .making import SCENARIOS


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium; without it the test fails in CI and is skipped elsewhere."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no Chromium on this machine: {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    one = Browser(found, tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core; without it the test fails in CI and is skipped elsewhere."""
    file = Path(__file__).parents[2] / ".axe/axe.min.js"
    if not file.is_file():
        message = "no axe-core: make .axe/axe.min.js"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def pages():
    """The page of each scenario, rendered once."""
    return {name: render_page(make()) for name, make in SCENARIOS.items()}
