"""What PID 1 reaps: run in a process of its own, whose children are all known."""

import subprocess
import sys

CODE = """
import os, subprocess, sys, time
from yolo_trainer.supervise.child import reap_orphans
own = [subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"]) for code in (3, 4)]
for process in own:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
reap_orphans(*(process.pid for process in own))
print([process.wait() for process in own])
reap_orphans()
"""


def test_reap_orphans_leaves_the_status_of_every_worker_to_its_owner() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[3, 4]\n", "")
