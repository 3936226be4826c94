"""A pod that the API server refuses: does waiting help, what is missing, what is the cure?

The messages are those that quota, LimitRanger and validation of Kubernetes 1.36 write.
"""

import pytest

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_operator.diagnosis import diagnose_refusal, diagnose_waiting
from yolo_operator.snapshot import EventView

POD = 'Error creating: pods "digits-r1a1-prepare-x2x7q" is forbidden: '
BELOW_REQUEST = (
    'Error creating: Pod "digits-r1a1-train-k4b2n" is invalid: spec.containers[0].resources.requests: '
    'Invalid value: "2": must be less than or equal to cpu limit of 500m'
)
OPENSHIFT = (
    POD + "unable to validate against any security context constraint: [provider restricted-v2: "
    ".spec.securityContext.fsGroup: Invalid value: [1000]: 1000 is not an allowed group, provider "
    "restricted-v2: .containers[0].runAsUser: Invalid value: 1000: must be in the ranges: "
    "[1000680000, 1000689999]]"
)
WHOLE = (
    "requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu="
)

# message, stage, reason, what the hint says in this order
CASES: dict[str, tuple[str, Stage, Reason, list[str]]] = {
    "a quota on CPU limits": (
        POD + "failed quota: team-compute: must specify limits.cpu for: trainer",
        Stage.PREPARE,
        Reason.LIMIT_MISSING,
        ["team-compute", "limits.cpu", "trainer.limitCpu", "resources.cpuLimit", "LimitRange"],
    ),
    "the same of an older Kubernetes": (
        POD + "failed quota: team-compute: must specify limits.cpu",
        Stage.TRAIN,
        Reason.LIMIT_MISSING,
        ["limits.cpu", "trainer.limitCpu"],
    ),
    "what an injected container does not state": (
        POD
        + "failed quota: q: must specify limits.cpu for: istio-proxy,trainer; limits.memory for: istio-proxy",
        Stage.TRAIN,
        Reason.LIMIT_MISSING,
        ["limits.cpu, limits.memory", "LimitRange", "injected: istio-proxy"],
    ),
    "less is left than is asked for": (
        POD + "exceeded quota: q, requested: limits.memory=3Gi, used: limits.memory=30Gi, "
        "limited: limits.memory=32Gi",
        Stage.TRAIN,
        Reason.QUOTA_EXCEEDED,
        ["starts by itself when others free"],
    ),
    "more than there is in all": (
        POD + "exceeded quota: q, requested: limits.memory=16Gi,pods=1, used: limits.memory=0,pods=0, "
        "limited: limits.memory=8Gi,pods=4",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        ["limits.memory 16Gi of 8Gi", "spec.template.resources.memory", "spec.run"],
    ),
    "thousandths of a CPU": (
        POD + "exceeded quota: q, requested: limits.cpu=500m, used: limits.cpu=0, limited: limits.cpu=250m",
        Stage.PREPARE,
        Reason.EXCEEDS_QUOTA,
        ["limits.cpu 500m of 250m", "trainer.prepare.cpu in the Helm values"],
    ),
    "more GPUs than there are in all": (
        f"{POD}exceeded quota: q, {WHOLE}1",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        ["spec.template.resources.gpus"],
    ),
    "no pod at all": (
        POD + "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        ["pods 1 of 0", "): have the quota raised"],
    ),
    "a priority class without quota": (
        POD + "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
        Stage.TRAIN,
        Reason.FORBIDDEN,
        ["waiting does not help", "priorityClassName"],
    ),
    "a default limit below the request": (
        BELOW_REQUEST,
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        [
            "limit of 500m",
            "asks for 2",
            "lower spec.template.resources.cpu to 500m and raise spec.run",
            "trainer.limitCpu",
            "default raised",
        ],
    ),
    "the same for prepare": (
        BELOW_REQUEST,
        Stage.PREPARE,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["lower trainer.prepare.cpu in the Helm values to 500m"],
    ),
    "more than the most": (
        POD + "maximum memory usage per Container is 8Gi, but limit is 16Gi",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["change spec.template.resources.memory"],
    ),
    "less than the least": (
        POD + "[minimum cpu usage per Container is 4, but request is 2, "
        "minimum cpu usage per Pod is 4, but request is 2]",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["change spec.template.resources.cpu"],
    ),
    "a ratio": (
        POD + "cpu max limit to request ratio per Container is 1, but no limit is specified or limit is 0",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["trainer.limitCpu"],
    ),
    "a maximum for pods that state no limit": (
        POD + "maximum cpu usage per Pod is 4.  No limit is specified",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["set trainer.limitCpu", "resources.cpuLimit"],
    ),
    "a limit above the most": (
        POD + "maximum cpu usage per Container is 4, but limit is 8",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["change spec.template.resources.cpuLimit (where it is unset, cpu)"],
    ),
    "several bounds": (
        POD + "[minimum cpu usage per Container is 4, but request is 2, "
        "maximum memory usage per Pod is 8Gi, but limit is 16Gi]",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["change spec.template.resources.cpu ", "and change spec.template.resources.memory"],
    ),
    "disk, which nothing states": (
        POD + "maximum ephemeral-storage usage per Pod is 2Gi.  No limit is specified",
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["refuses it: have that changed"],
    ),
    "a CPU limit above the quota": (
        POD + "exceeded quota: q, requested: limits.cpu=8, used: limits.cpu=0, limited: limits.cpu=4",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        ["lower spec.template.resources.cpuLimit (where it is unset, cpu)"],
    ),
    "more of two resources": (
        POD + "exceeded quota: q, requested: limits.memory=16Gi,requests.cpu=2, "
        "used: limits.memory=0,requests.cpu=0, limited: limits.memory=8Gi,requests.cpu=1",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        [
            "lower spec.template.resources.memory",
            ", and lower spec.template.resources.cpu",
            ", or have the quota",
        ],
    ),
    "a number of objects": (
        POD + "exceeded quota: q, requested: count/pods=1, used: count/pods=0, limited: count/pods=0",
        Stage.TRAIN,
        Reason.EXCEEDS_QUOTA,
        ["count/pods 1 of 0", "): have the quota raised"],
    ),
    "a resource that is given by quota alone": (
        POD + "insufficient quota to consume: requests.nvidia.com/gpu",
        Stage.TRAIN,
        Reason.FORBIDDEN,
        ["waiting does not help", "requests.nvidia.com/gpu by quota alone", "counts it: have one made"],
    ),
    "another scope without quota": (
        POD + "insufficient quota to match these scopes: [{CrossNamespacePodAffinity Exists []}]",
        Stage.TRAIN,
        Reason.FORBIDDEN,
        ["waiting does not help", "scope: have one made"],
    ),
    "a quota that is new": (
        POD + "status unknown for quota: q, resources: limits.memory",
        Stage.TRAIN,
        Reason.QUOTA_EXCEEDED,
        ["has not counted yet", "tried again by itself"],
    ),
    "a quota that others write": (
        'Error creating: Operation cannot be fulfilled on resourcequotas "q": the object has been modified; '
        "please apply your changes to the latest version and try again",
        Stage.TRAIN,
        Reason.QUOTA_EXCEEDED,
        ["tried again by itself"],
    ),
    "a training named quota": (
        POD.replace("digits", "quota") + "no PriorityClass with name high was found",
        Stage.TRAIN,
        Reason.FORBIDDEN,
        ["a RuntimeClass or PriorityClass that does not exist"],
    ),
    "an injected container's request above the default limit": (
        BELOW_REQUEST.replace("containers[0]", "containers[1]"),
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["containers[1], which somebody injected, asks for 2", "default raised"],
    ),
    "the same of one before the trainer": (
        BELOW_REQUEST.replace("containers[0]", "initContainers[0]"),
        Stage.TRAIN,
        Reason.OUTSIDE_LIMIT_RANGE,
        ["initContainers[0], which somebody injected, asks for 2"],
    ),
    "OpenShift's ranges": (OPENSHIFT, Stage.TRAIN, Reason.FORBIDDEN, ["podSecurity.runAsUser", "null"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_pod_is_told_with_its_cure(case: str) -> None:
    message, stage, want, words = CASES[case]
    found = diagnose_waiting(None, [EventView("FailedCreate", message)], stage)
    assert found is not None
    assert (found.reason, found.message) == (want, message)
    hint = str(found.hint)
    places = [hint.find(word) for word in words]
    assert -1 not in places, hint
    assert places == sorted(places), hint
    if want != Reason.FORBIDDEN:
        assert ("waiting does not help" in hint) == (want != Reason.QUOTA_EXCEEDED)


def test_a_job_beyond_its_quota_is_told_alike() -> None:
    jobs = "count/jobs.batch"
    text = f"exceeded quota: jobs, requested: {jobs}=1, used: {jobs}=0, limited: {jobs}=0"
    found = diagnose_refusal(403, f'jobs.batch "a" is forbidden: {text}')
    assert found is not None
    assert found.reason == Reason.EXCEEDS_QUOTA


def test_pods_that_run_together_must_all_be_within_the_quota() -> None:
    message = f"{POD}exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    told = [diagnose_waiting(None, [EventView("FailedCreate", message)], pods=pods) for pods in (1, 2)]
    assert [one.reason for one in told if one] == [Reason.QUOTA_EXCEEDED, Reason.EXCEEDS_QUOTA]
    assert "pods 2 times 1 of 1" in str(told[1])
    assert "spec.template.resources.nodes" in str(told[1])
