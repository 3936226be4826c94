"""Runs helm on the chart and remembers every result: a render is needed by many tests."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "charts" / "yolo-operator"
RELEASE = "yolo"
NAMESPACE = "train"
ALL_VALUES = FOLDER / "ci" / "values-all.yaml"


def load_yaml(path: Path) -> Any:
    """The one document of a file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def merge(*values: Mapping[str, Any]) -> dict[str, Any]:
    """Values files laid over one another, as helm does: maps are merged, all else is replaced."""
    merged: dict[str, Any] = {}
    for layer in values:
        for key, value in layer.items():
            both_maps = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both_maps else value
    return merged


def nested(path: str, value: object) -> dict[str, Any]:
    """`nested("a.b", 1)` is `{"a": {"b": 1}}`."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


@dataclass(frozen=True)
class Chart:
    """The chart, rendered with the defaults and what is laid over them."""

    helm: Path
    _cache: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def run(
        self, *arguments: str, values: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What helm answered; `values` goes in by `-f -`."""
        given = json.dumps(values or {}, sort_keys=True)
        key = repr((arguments, given))
        if key not in self._cache:
            self._cache[key] = subprocess.run(
                [self.helm, *arguments, "--namespace", NAMESPACE, "--values", "-"],
                input=given,
                capture_output=True,
                text=True,
            )
        return self._cache[key]

    def text(self, values: Mapping[str, Any] | None = None) -> str:
        """The rendered manifests as helm prints them."""
        done = self.run("template", RELEASE, str(FOLDER), values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The rendered objects."""
        return [found for found in yaml.load_all(self.text(values), yaml.CSafeLoader) if found]

    def one(self, kind: str, name: str, values: Mapping[str, Any] | None = None) -> Manifest:
        """The rendered object of that kind and name; it must be there once."""
        found = [
            manifest
            for manifest in self.objects(values)
            if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name)
        ]
        assert len(found) == 1, f"{kind} {name} was rendered {len(found)} times"
        return found[0]

    def refusal(self, values: Mapping[str, Any]) -> str:
        """What helm says where it must not render."""
        done = self.run("template", RELEASE, str(FOLDER), values=values)
        assert done.returncode != 0, "helm rendered what it should refuse"
        return done.stderr

    def notes(self, values: Mapping[str, Any] | None = None) -> str:
        """What an installer is told in the end."""
        done = self.run("install", RELEASE, str(FOLDER), "--dry-run=client", values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("\nNOTES:\n")[2]


def container(manifest: Manifest) -> Manifest:
    """The one container of a Deployment, CronJob or Pod."""
    (found,) = pod_spec(manifest)["containers"]
    assert isinstance(found, dict)
    return found


def pod_spec(manifest: Manifest) -> Manifest:
    """The pod's spec in a Deployment, CronJob or Pod."""
    spec = manifest["spec"]
    spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    found = spec["template"]["spec"] if "template" in spec else spec
    assert isinstance(found, dict)
    return found


def environment(manifest: Manifest) -> dict[str, str]:
    """The container's environment variables that have a plain value."""
    return {entry["name"]: entry["value"] for entry in container(manifest)["env"] if "value" in entry}
