"""The Flower apps give the bytes of the in-process driver; needs Flower's own environment."""

import datetime
import ipaddress
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stockpot as sp
from stockpot.checkpoints.read import read_checkpoint
from stockpot.experiments.federated import Federation, parse_federation
from stockpot.federated import federate, local
from stockpot.federated.setting import Setting

pytestmark = pytest.mark.full

SMALL: dict[str, Any] = {
    "network": {"name": "mlp", "width": 16},
    "data": "digits",
    "split": {"test": 0.5},
    "federated": {
        "clients": 2,
        "rounds": 2,
        "local": {"epochs": 2, "momentum": 0.9},
        "runs": ["wsa"],
    },
}


@pytest.fixture
def federation() -> Federation:
    pytest.importorskip("flwr", reason="Flower needs an environment of its own")
    return parse_federation(SMALL)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No program of Flower or Ray is there that was not before, but what init has to reap."""
    before = programs()
    yield
    assert programs() - before == set()


def programs() -> set[tuple[str, str]]:
    said = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    rows = (line.strip().split(" ", 1) for line in said.splitlines()[1:])
    words = ("flower-super", "flwr-", "/flwr", "raylet", "gcs_server", "ray::")
    return {
        (pid, args)
        for pid, args in rows
        if any(w in args for w in words) and "<defunct>" not in args
    }


def only_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.safetensors")
    return found


def test_the_simulation_gives_the_bytes_of_the_driver(federation: Federation, tmp_path: Path):
    from stockpot.federated.flower import simulation

    here = federate(federation, tmp_path / "here", local)
    there = federate(federation, tmp_path / "there", simulation)
    assert here == there
    assert only_file(tmp_path / "here").read_bytes() == only_file(tmp_path / "there").read_bytes()
    again = federate(federation, tmp_path / "there", simulation)  # starts nothing: all is there
    assert again == here


def changed(network: Any = None, **federated: Any) -> Federation:
    network = network or SMALL["network"]
    inner = {**SMALL["federated"], **federated}
    return parse_federation({**SMALL, "network": network, "federated": inner})


@pytest.mark.usefixtures("federation")
def test_a_strategy_of_flower_s_gives_the_bytes_of_the_driver(tmp_path: Path):
    from stockpot.federated.flower import simulation

    run = {"aggregation": {"name": "flower:FedAvgM", "server_momentum": 0.5}}
    for name, engine in (("here", local), ("there", simulation)):
        federate(changed(runs=[run]), tmp_path / name, engine)
    assert only_file(tmp_path / "here").read_bytes() == only_file(tmp_path / "there").read_bytes()


@pytest.mark.usefixtures("federation")
def test_clients_of_fedbn_forget_and_begin_again_to_the_same_model(tmp_path: Path):
    from stockpot.federated.flower import simulation

    for rounds in (1, 2):
        wanted = changed(network={"name": "cnn", "width": 4}, runs=["fedbn"], rounds=rounds)
        federate(wanted, tmp_path / "there", simulation)
    federate(wanted, tmp_path / "here", local)
    here, there = (
        {n: e.load() for n, e in read_checkpoint(only_file(tmp_path / name)).entries.items()}
        for name in ("here", "there")
    )
    assert not any(name.startswith("client-") for name in there)
    assert all(torch.equal(here[name], one) for name, one in there.items())


APP = """\
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from stockpot.federated.flower.strategy import MethodStrategy
from stockpot.methods import Ties

client_app = ClientApp()
server_app = ServerApp()


@client_app.train()
def train(message, context):
    number = context.node_config["partition-id"]
    w = message.content["arrays"]["w"].numpy() + np.float32([1, -1, 3]) * (number + 1)
    facts = MetricRecord({"num-examples": 1 + 2 * number, "loss": 1.0 + number})
    content = RecordDict({"arrays": ArrayRecord({"w": Array(w)}), "metrics": facts})
    return Message(content=content, reply_to=message)


@client_app.evaluate()
def evaluate(message, context):
    found = {"num-examples": 1, "sum": float(message.content["arrays"]["w"].numpy().sum())}
    return Message(content=RecordDict({"metrics": MetricRecord(found)}), reply_to=message)


@server_app.main()
def main(grid, context):
    strategy = MethodStrategy(Ties(density=0.67, scale=0.5))
    begin = ArrayRecord({"w": Array(np.zeros(3, np.float32))})
    result = strategy.start(grid=grid, initial_arrays=begin, num_rounds=2)
    losses = [one["loss"] for one in result.train_metrics_clientapp.values()]
    sums = [one["sum"] for one in result.evaluate_metrics_clientapp.values()]
    np.savez(context.run_config["file"], w=result.arrays["w"].numpy(), losses=losses, sums=sums)
"""


@pytest.mark.usefixtures("federation")
def test_a_method_serves_anybody_s_app_as_a_strategy(tmp_path: Path):
    from stockpot.federated.flower.app_folder import write_app
    from stockpot.federated.flower.simulation import run_simulated
    from stockpot.methods import Ties

    setting = Setting(federation=parse_federation(SMALL), run=0, alpha=0.5, seed=0)
    app = write_app(tmp_path / "app", setting, tmp_path / "found.npz")
    (app / "stockpot_app.py").write_text(APP, encoding="utf8")
    run_simulated(app, tmp_path, clients=2)
    w, sums, up = torch.zeros(3), [], torch.tensor([1.0, -1.0, 3.0])
    for _ in range(2):
        models = [{"w": w + up * number} for number in (1, 2)]
        method = Ties(density=0.67, scale=0.5)
        w = sp.merge(models, method, base={"w": w}, weights=[0.25, 0.75])["w"]
        sums.append(float(w.sum()))
    found = np.load(tmp_path / "found.npz")
    assert np.array_equal(found["w"], w.numpy())
    assert found["losses"].tolist() == [1.75, 1.75]
    assert found["sums"].tolist() == sums


def certificate(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of this test and a certificate of 127.0.0.1: authority, certificate, key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)])
        for one in ("stockpot test authority", "localhost")
    ]
    paths = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    for which, (key, name) in enumerate(zip(keys, names, strict=True)):
        usage = x509.KeyUsage(True, False, False, False, False, not which, not which, False, False)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=not which, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), critical=False
            )
            .sign(keys[0], hashes.SHA256())
        )
        paths[which].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_two_supernodes_and_a_superlink_over_tls_give_the_same_bytes(
    federation: Federation, tmp_path: Path
):
    from stockpot.federated.flower.app_folder import write_app
    from stockpot.federated.flower.processes import (
        free_port,
        run_app,
        started,
        tool,
        wait_for,
        write_connection,
    )

    federate(federation, tmp_path / "here", local)
    setting = Setting(federation=federation, run=0, alpha=0.5, seed=0)
    result = tmp_path / "result.safetensors"
    authority, own, key = certificate(tmp_path)
    homes = [tmp_path / name for name in ("link", "node-0", "node-1")]
    for one in homes:
        one.mkdir()
    link, *nodes = homes
    app = write_app(tmp_path / "app", setting, result)
    port = free_port()
    secure = ("--ssl-certfile", str(own), "--ssl-keyfile", str(key))
    server = (
        tool("flower-superlink"),
        *(*secure, "--ssl-ca-certfile", str(authority), "--port", str(port)),
        "--disable-runtime-dependency-installation",
    )
    with started(server, link, link / "log"):
        wait_for(port, link / "log")
        write_connection(link, port, authority)
        commands = [
            (
                tool("flower-supernode"),
                *("--root-certificates", str(authority), "--superlink", f"127.0.0.1:{port}"),
                *("--port", str(free_port()), "--ssl-certfile", str(own)),
                *("--ssl-keyfile", str(key), "--ssl-ca-certfile", str(authority)),
                *("--node-config", f"partition-id={number} num-partitions=2"),
            )
            for number in range(2)
        ]
        with (
            started(commands[0], nodes[0], nodes[0] / "log"),
            started(commands[1], nodes[1], nodes[1] / "log"),
        ):
            run_app(app, link)
    assert result.read_bytes() == only_file(tmp_path / "here").read_bytes()
    assert b"telemetry.flower.ai" not in (link / "log").read_bytes()
    assert os.environ.get("FLWR_TELEMETRY_ENABLED") is None  # children's only
