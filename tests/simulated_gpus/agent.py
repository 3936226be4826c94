"""What the chart's GPU agent needs on a local cluster: the stub of NVML, and each node's kubelet folder."""

from __future__ import annotations

from cluster import Cluster

from .devices import LIB, PLACE
from .nodes import FOLDER

_KUBELET = "/run/kubelet"
_RESOURCES = "kubelet/pod-resources"


def agent_values(cluster: Cluster) -> list[str]:
    """Assignments for `helm --set`. The nodes share the machine's folders: each has a path by its name."""
    plan = cluster.plan
    runs, roots = plan.node_run(1).parent, plan.node_root(1).parent
    environment = {"LD_LIBRARY_PATH": f"{PLACE}/{LIB}"}
    mounts = [("gpus", f"{runs}", PLACE, FOLDER)]
    if plan.nodes > 1:
        environment["YOLO_GPU_AGENT_POD_RESOURCES_SOCKET"] = f"{_KUBELET}/kubelet.sock"
        mounts.append(("kubelets", f"{roots}", _KUBELET, _RESOURCES))
    found = ["gpuAgent.enabled=true", f"gpuAgent.kubeletRoot={plan.node_root(1)}/kubelet"]
    found += ["gpuAgent.extraEnv[0].name=NODE_NAME"]
    found += ["gpuAgent.extraEnv[0].valueFrom.fieldRef.fieldPath=spec.nodeName"]
    for index, (name, value) in enumerate(environment.items(), 1):
        found += [f"gpuAgent.extraEnv[{index}].name={name}", f"gpuAgent.extraEnv[{index}].value={value}"]
    for index, (name, host, place, below) in enumerate(mounts):
        volume, mount = f"gpuAgent.extraVolumes[{index}]", f"gpuAgent.extraVolumeMounts[{index}]"
        found += [f"{volume}.name={name}", f"{volume}.hostPath.path={host}"]
        found += [f"{mount}.name={name}", f"{mount}.mountPath={place}", f"{mount}.readOnly=true"]
        found += [f"{mount}.subPathExpr=$(NODE_NAME)/{below}"]
    return found
