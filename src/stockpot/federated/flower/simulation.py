"""Flower's simulation engine on this machine: started for a run, gone with all its processes."""

import tempfile
from pathlib import Path

from ...errors import StockpotError
from ...libraries import optional
from ..experiment import Told
from ..rounds.server import rounds_in
from ..setting import Setting
from .app_folder import write_app
from .processes import free_port, run_app, started, tool, wait_for, write_connection


def simulation(setting: Setting, path: Path, told: Told) -> None:
    """The engine that runs a ServerApp, and a ClientApp for each client, in Flower's simulation.

    Clients run beside each other, a core for each. Telemetry and the check for updates are off.
    With FedBN a run that was broken off begins again, because what its clients kept is gone.

    Raises:
        ExtraError: without flwr.
        StockpotError: Flower fails; the end of its log is in the text.
    """
    optional("flwr", "federated")
    optional("ray", "federated")
    wanted = setting.federation.federated
    if path.exists() and len(rounds_in(path)) > wanted.rounds:
        told(wanted.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="stockpot-flower-") as folder:
        app = write_app(Path(folder) / "app", setting, path)
        run_simulated(app, Path(folder), clients=wanted.clients)
    done = len(rounds_in(path)) - 1 if path.exists() else 0
    told(done)
    if done < wanted.rounds:
        raise StockpotError(f"Flower ended after {done} of {wanted.rounds} rounds.")


def run_simulated(app: Path, home: Path, *, clients: int) -> None:
    """Run an app in the simulation engine, with a SuperLink that is gone at the end.

    Args:
        app: folder of the app.
        home: where Flower keeps what it needs in the meantime.
        clients: how many nodes there are.

    Raises:
        StockpotError: Flower fails; the end of its log is in the text.
    """
    port = free_port()
    command = (
        tool("flower-superlink"),
        *("--insecure", "--simulation", "--host", "127.0.0.1", "--port", str(port)),
        "--disable-runtime-dependency-installation",
    )
    with started(command, home, home / "superlink.log"):
        wait_for(port, home / "superlink.log")
        write_connection(home, port)
        size = f"num-supernodes={clients} client-resources-num-cpus=1"
        run_app(app, home, ("--federation-config", size))
