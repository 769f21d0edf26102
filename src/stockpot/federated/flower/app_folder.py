"""A Flower app on disk: what `flwr run` takes, for the simulation engine and a deployment alike."""

import json
from pathlib import Path

import stockpot.federated.flower as here

from ..setting import Setting

NAME = "stockpot-federated"
_CODE = '''"""The apps, where flwr looks for them."""

from stockpot.federated.flower.apps import client_app, server_app

__all__ = ["client_app", "server_app"]
'''


def write_app(folder: Path, setting: Setting, file: Path) -> Path:
    """Write pyproject.toml and the module that it names, and give the folder back.

    Args:
        folder: made where it is missing.
        setting: what is run.
        file: on the server's machine, where each finished round is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stockpot_app.py").write_text(_CODE, encoding="utf8")
    (folder / "README.md").write_text(f"# {NAME}\n\n{here.__doc__}\n", encoding="utf8")
    # A JSON string is a TOML string: both escape alike.
    lines = f"""\
[project]
name = "{NAME}"
version = "1.0.0"
description = "{setting.name.replace('"', "'")}"
license = "Apache-2.0"
dependencies = ["stockpot[federated]"]

[tool.flwr.app]
publisher = "stockpot"

[tool.flwr.app.components]
serverapp = "stockpot_app:server_app"
clientapp = "stockpot_app:client_app"

[tool.flwr.app.config]
setting = {json.dumps(setting.text())}
file = {json.dumps(str(file.absolute()))}
"""
    (folder / "pyproject.toml").write_text(lines, encoding="utf8")
    return folder
