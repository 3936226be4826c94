"""`python -m demo run|up|status|down`: what the Makefile's targets of these names call."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from cluster import Cluster, ClusterError
from cluster.progress import say, step

from .client import CallFailedError, OldClient
from .digits import LABELS, make_pictures, write_ucd, write_yolo_folder
from .install import ROOT, InstallError, System
from .show import show_progress
from .system import QUEUE, bring_up, bring_up_current, write_environment
from .teardown import NAMESPACE, tear_down

CLUSTER_NAME = "local"
MODEL = "digits-demo"
WANTED_MAP50 = 0.5
_DEADLINE = 900
_PICTURES = {"train": 200, "val": 50}
# From scratch, since no pretrained weights can be assumed; small pictures and no mosaic learn fast.
START = {
    "model_type": "yolo11n.yaml",
    "model_name": MODEL,
    "device": "cpu",
    "epochs": 12,
    "batch_size": 8,
    "imgsz": 160,
    "workers": 0,
    "train_ucd": "digits-train",
    "val_ucd": "digits-val",
    "labels": ",".join(LABELS),
    "hyp_dict": {"mosaic": 0, "fliplr": 0, "warmup_epochs": 1, "nbs": 8},
}


def up(nodes: int | None = None, gpus: int | None = None, kueue: bool = False) -> System:
    """The system without a training: so many nodes, and simulated GPUs on each, or as many as before; with
    `kueue` a queue for trainings too. Raises ClusterError or InstallError.
    """
    if os.environ.get("CLUSTER") == "current":
        if nodes or gpus or kueue:
            raise ClusterError(
                "NODES, GPUS and KUEUE are of the local cluster: leave them out with CLUSTER=current"
            )
        system = bring_up_current()
    else:
        system = bring_up(CLUSTER_NAME, nodes=nodes, gpus=gpus, kueue=kueue)
    place_data(system)
    say(f"  shell lines for you: source {write_environment(system).relative_to(ROOT)}")
    if kueue:
        say(f"  a queue that lets one training run at a time: kubectl get localqueue {QUEUE}")
    return system


def place_data(system: System) -> None:
    """The demo's pictures on the data volume: as UCD data sets and as a YOLO folder."""
    pod = f"deploy/{system.release}-data"
    if (
        system.run_kubectl(
            "exec", pod, "--", "test", "-f", "/data/ucd/digits-val.json", check=False
        ).returncode
        == 0
    ):
        return
    with step("data: handwritten digits onto the data volume"), tempfile.TemporaryDirectory() as folder:
        splits = {split: list(make_pictures(split, count)) for split, count in _PICTURES.items()}
        for split, pictures in splits.items():
            write_ucd(Path(folder), f"digits-{split}", pictures)
        write_yolo_folder(Path(folder), "digits", splits)
        system.put_folder(Path(folder))


def train(system: System) -> int:
    """The demo's training, through the calls of an old client; 0 when the model is good."""
    with OldClient(system.url) as client:
        if MODEL in client.get("/cache_info")["train"]:
            client.get(f"/clear_train_cache/{MODEL}")
        say(f"  POST {system.url}/start  {MODEL}: {START['model_type']}, {START['epochs']} epochs")
        client.start(**START)
        last = show_progress(MODEL, client.watch(MODEL, deadline=_DEADLINE))
        if last["phase"] != "Succeeded":
            say(f"  {MODEL} {last['phase']}: {last.get('reason')}: {last.get('message')}")
            return 1
        target = ROOT / ".local" / "demo" / "best.pt"
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download(MODEL, "best.pt", target)
    quality = float(last["metrics"]["metrics/mAP50(B)"])
    print(f"\n  {target.relative_to(ROOT)}  {target.stat().st_size / 1e6:.1f} MB")
    print(f"  mAP50 {quality:.2f} on {_PICTURES['val']} pictures that training never saw")
    # A kubeconfig that is not ours keeps its namespace.
    kubectl = f"kubectl -n {system.namespace}" if os.environ.get("CLUSTER") == "current" else "kubectl"
    print("\n  next:\n    source .local/env")
    print(f"    {kubectl} get yt")
    print(f"    {kubectl} apply -f examples/digits.yaml && {kubectl} get yt digits -w")
    print("    curl $YOLO_URL/help")
    if quality < WANTED_MAP50:
        say(f"  that is less than {WANTED_MAP50}: the training did not learn as it should")
        return 1
    return 0


def status() -> int:
    """What runs now."""
    cluster = Cluster(CLUSTER_NAME)
    for name, state in cluster.status().items():
        print(f"{name:32} {state}")
    print("\n" + cluster.kubectl("--namespace", NAMESPACE, "get", "pods,yt"))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", choices=("run", "up", "status", "down"))
    parser.add_argument("--nodes", type=int, help="of the local cluster (at first: 1)")
    parser.add_argument("--gpus", type=int, help="simulated ones a node (at first: 0)")
    parser.add_argument("--kueue", action="store_true", help="with Kueue and a queue")
    arguments = parser.parse_args()
    command = arguments.command
    try:
        if command == "down":
            tear_down()
        elif command == "status":
            return status()
        else:
            system = up(arguments.nodes, arguments.gpus, arguments.kueue)
            return train(system) if command == "run" else 0
    except (ClusterError, InstallError, CallFailedError, TimeoutError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted: the same command goes on where it was, `make clean` removes all")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
