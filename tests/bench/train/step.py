"""Seconds of a training step of yolo11n on the CPU (160 px, batch 16), alone and beside one busy process.

`python -m bench.train.step`: all of `SETTINGS`; with a number, one measurement with so many threads and the
environment as it is, as JSON.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from yolo_trainer.supervise.offline import TUNING

_STEPS, _WARM_UP = 12, 3
_ENOUGH_SECONDS = 20.0
_BATCH, _EDGE, _BOXES = 16, 160, 32
_ALLOCATOR = {name: value for name, value in TUNING.items() if name.startswith("MALLOC")}
SETTINGS: dict[str, tuple[int, bool, dict[str, str]]] = {
    "stock: one thread fewer than CPUs": (1, False, {}),
    "1 thread, ours else": (1, True, TUNING),
    "2 threads, libgomp's own spinning": (2, True, _ALLOCATOR),
    "2 threads, 10,000 spins": (2, True, {**_ALLOCATOR, "GOMP_SPINCOUNT": "10000"}),
    f"2 threads, {int(TUNING['GOMP_SPINCOUNT']):,} spins: ours": (2, True, TUNING),
    "2 threads, 1,000 spins": (2, True, {**_ALLOCATOR, "GOMP_SPINCOUNT": "1000"}),
    "2 threads, no spinning": (2, True, {**_ALLOCATOR, "OMP_WAIT_POLICY": "PASSIVE"}),
}
"""Threads, channels-last, and the environment."""


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]), channels_last=sys.argv[2:] == ["channels-last"])))
        return
    print(f"{'seconds of wall and CPU':36} {'alone':>15} {'beside another':>15}", flush=True)
    for name, setting in SETTINGS.items():
        alone = _measure_apart(*setting)
        with _busy_neighbour():
            beside = _measure_apart(*setting)
        cells = (f"{found['wall']:8.3f} {found['cpu']:6.3f}" for found in (alone, beside))
        print(f"{name:36} {' '.join(cells)}", flush=True)


def measure(threads: int, *, channels_last: bool) -> dict[str, float]:
    """Medians of wall and CPU seconds of a step, after a few that are not counted."""
    import torch
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model: Any = DetectionModel("yolo11n.yaml", nc=10, verbose=False)
    model.args = get_cfg()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters())
    batch = {
        "img": torch.rand(_BATCH, 3, _EDGE, _EDGE),
        "cls": torch.zeros(_BOXES, 1),
        "bboxes": torch.rand(_BOXES, 4) * 0.4 + 0.2,
        "batch_idx": torch.arange(_BOXES) * _BATCH // _BOXES,
    }
    walls, cpus = [], []
    for _ in range(_STEPS):
        wall, cpu = time.perf_counter(), _cpu()
        model(batch)[0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu() - cpu)
        if len(walls) > _WARM_UP and sum(walls) > _ENOUGH_SECONDS:
            break
    return {"wall": median(walls[_WARM_UP:]), "cpu": median(cpus[_WARM_UP:])}


def _measure_apart(threads: int, channels_last: bool, environment: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.train.step", str(threads)]
    command += ["channels-last"] if channels_last else []
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _busy_neighbour() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            yield
        finally:
            neighbour.kill()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
