"""The whole system on a cluster, installed as a user would: images, chart, and the ways to reach it."""

import io
import json
import os
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolo_crds.meta import LABEL_TRAINING, object_name

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "yolo-operator"
NODE_PORT = 30066
"""NodePort of the façade on a local cluster; the forwarder on 127.0.0.1 leads to it."""
_COMPONENT = "app.kubernetes.io/component"


class InstallError(Exception):
    """What a person can act on: shown as one message."""


@dataclass(frozen=True)
class System:
    """An installed release, as its users reach it."""

    kubeconfig: Path | None
    """None: kubectl's own default."""
    bin: Path | None
    """Folder of kubectl and helm; None: those on PATH."""
    namespace: str
    release: str
    url: str
    """Of the façade."""

    @property
    def environment(self) -> dict[str, str]:
        """The process environment in which `kubectl` and `helm` mean this cluster."""
        env = dict(os.environ)
        if self.kubeconfig:
            env["KUBECONFIG"] = str(self.kubeconfig)
        if self.bin:
            env["PATH"] = f"{self.bin}:{env['PATH']}"
        return env

    def run(
        self, *command: str, stdin: str | bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command against the cluster. Raises InstallError with what it printed."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        raw = subprocess.run(command, env=self.environment, input=data, capture_output=True)
        result = subprocess.CompletedProcess(
            command, raw.returncode, raw.stdout.decode(errors="replace"), raw.stderr.decode(errors="replace")
        )
        if check and result.returncode:
            text = (result.stderr or result.stdout).strip()
            raise InstallError(f"{' '.join(command[:4])} … ended with {result.returncode}: {text}")
        return result

    def run_kubectl(
        self, *arguments: str, stdin: str | bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """kubectl in the release's namespace."""
        return self.run("kubectl", "--namespace", self.namespace, *arguments, stdin=stdin, check=check)

    def kubectl(self, *arguments: str) -> str:
        """What kubectl printed. Raises InstallError."""
        return self.run_kubectl(*arguments).stdout

    def training(self, model_name: str) -> dict[str, Any]:
        """The YoloTraining of a model name."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "yt", object_name(model_name), "-o", "json"))
        return found

    def pods(self, model_name: str) -> list[str]:
        """Names of the model's pods that have not ended."""
        selector = f"{LABEL_TRAINING}={object_name(model_name)}"
        listed = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
        return [
            pod["metadata"]["name"] for pod in listed if pod["status"]["phase"] not in ("Succeeded", "Failed")
        ]

    def put(self, path: str, content: str) -> None:
        """Write a text file onto the data volume."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(path)
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
        self._unpack(buffer.getvalue())

    def put_folder(self, folder: Path) -> None:
        """Copy what is in `folder` onto the data volume."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for entry in sorted(
                folder.iterdir()
            ):  # not the folder itself: the volume's root has another owner
                archive.add(entry, arcname=entry.name)
        self._unpack(buffer.getvalue())

    def kill_component(self, component: str, seconds: float = 120) -> None:
        """Kill a component's pod at once (SIGKILL), as a crash does, and wait for the one that replaces it.

        Raises InstallError after `seconds`.
        """
        killed = set(self._component_pods(component))
        self.kubectl("delete", "pod", *killed, "--grace-period=0", "--force")
        end = time.monotonic() + seconds
        while not any(ready for name, ready in self._component_pods(component).items() if name not in killed):
            if time.monotonic() > end:
                raise InstallError(f"no new pod of {component} is ready after {seconds:.0f} s")
            time.sleep(0.2)

    def _component_pods(self, component: str) -> dict[str, bool]:
        """Name → ready, of a component's pods."""
        listed = json.loads(self.kubectl("get", "pods", "-l", f"{_COMPONENT}={component}", "-o", "json"))
        return {
            pod["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", [])
            )
            for pod in listed["items"]
        }

    def wait_ready(self, seconds: float = 120) -> None:
        """Until the façade says that it is ready. Raises InstallError after `seconds`."""
        end = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (OSError, urllib.error.URLError) as error:
                last = error
            if time.monotonic() > end:
                raise InstallError(f"the façade at {self.url} is not ready after {seconds:.0f} s: {last}")
            time.sleep(0.2)

    def _unpack(self, archive: bytes) -> None:
        pod = f"deploy/{self.release}-data"
        command = ("tar", "--extract", "--file=-", "--no-same-owner", "--directory=/data")
        self.run_kubectl("exec", "-i", pod, "--", *command, stdin=archive)


def change_values(system: System, *values: str) -> None:
    """Set further values (`--set` assignments) of the installed release and wait until it is ready again.

    Raises InstallError.
    """
    command = ["helm", "upgrade", system.release, str(CHART), "--namespace", system.namespace]
    system.run(*command, "--reuse-values", "--wait", "--timeout=5m", *(f"--set={value}" for value in values))
    system.wait_ready()


def install_chart(system: System, images: dict[str, str], values: list[str]) -> None:
    """Install or upgrade the release and wait until its pods are ready.

    images: component (`operator`, `api`, `trainer`) → reference `registry/repository:tag`.
    values: `--set` assignments beside them. Raises InstallError with helm's or the pods' words.
    """
    sets = list(values)
    for component, reference in images.items():
        registry, _, rest = reference.partition("/")
        repository, _, tag = rest.rpartition(":")
        sets += [
            f"image.registry={registry}",
            f"{component}.image.repository={repository}",
            f"{component}.image.tag={tag}",
        ]
    command = ["helm", "upgrade", "--install", system.release, str(CHART), "--namespace", system.namespace]
    command += ["--create-namespace", "--wait", "--timeout", "5m"]
    result = system.run(*command, *(f"--set={item}" for item in sets), check=False)
    if result.returncode:
        pods = system.run_kubectl("get", "pods", "-o", "wide", check=False).stdout
        events = system.run_kubectl("get", "events", "--sort-by=.lastTimestamp", check=False).stdout
        raise InstallError(f"{result.stderr.strip()}\n\n{pods}\n{events[-2000:]}")
