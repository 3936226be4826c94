"""The two Jobs, whole, against tests/golden, and through the models that know every field."""

import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes.client.models import V1Job

from operator_objects import SETTINGS, make_training
from yolo_crds.config_env import join_config
from yolo_crds.meta import CONFIG_ENV, LABEL_EGRESS, Stage
from yolo_crds.trainer import Fetch, TrainerConfig
from yolo_crds.training import Toleration, YoloTraining
from yolo_operator.jobs import build_prepare_job, build_train_job
from yolo_operator.peers import build_peer_objects

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
PLAIN = YoloTraining.model_validate(make_training())
FULL = YoloTraining.model_validate(
    make_training(
        name="helm-v2-23d1dce19f",
        modelName="Helm v2",
        run=3,
        resume=True,
        lifecycle={"activeDeadlineSeconds": 3600, "terminationGracePeriodSeconds": 25},
        template={
            "model": "yolo11n.pt",
            "data": {"train": "a", "val": "b", "labels": ["helmet", "head"]},
            "resources": {"gpus": 2, "gpuResource": "nvidia.com/mig-1g.10gb", "sharedMemory": "4Gi"},
            "scheduling": {
                "nodeSelector": {"gpu": "a100"},
                "tolerations": [
                    {"key": "team", "operator": "Equal", "value": "vision", "effect": "NoSchedule"}
                ],
                "priorityClassName": "batch",
                "runtimeClassName": "nvidia",
            },
        },
    )
)
FROM_IMAGE = YoloTraining.model_validate(
    make_training(
        template={
            "model": "yolo11n.yaml",
            "data": {"train": ".", "image": "registry.example.org/sets/helmets:3"},
        }
    )
)
QUEUED = YoloTraining.model_validate(
    make_training(
        template={
            "model": "yolo11n.yaml",
            "data": {"train": "a"},
            "scheduling": {"queueName": "gpus", "workloadPriorityClass": "urgent"},
        }
    )
)
ON_CPU = YoloTraining.model_validate(
    make_training(template={"model": "yolo11n.yaml", "data": {"train": "a"}, "resources": {"gpus": 0}})
)
ON_NODES = YoloTraining.model_validate(
    make_training(
        name="2nd-try",
        template={"model": "yolo11n.yaml", "data": {"train": "a"}, "resources": {"gpus": 4, "nodes": 2}},
    )
)
TOGETHER = {"requiredTopology": "topology.kubernetes.io/rack"}
IN_RACK, IN_RACK_QUEUED = (
    YoloTraining.model_validate(
        make_training(
            template={
                "model": "yolo11n.yaml",
                "data": {"train": "a"},
                "resources": {"gpus": 4, "nodes": 2},
                "scheduling": TOGETHER | more,
            },
        )
    )
    for more in ({}, {"queueName": "gpus"})
)
ELABORATE = SETTINGS.model_copy(
    update={
        "image_pull_secrets": ["pull"],
        "service_account": "trainer",
        "node_selector": {"storage": "here"},
        "tolerations": [Toleration(key="dedicated", operator="Exists")],
        "time_zone": "Asia/Shanghai",
    }
)
FETCHING = SETTINGS.model_copy(update={"fetch": Fetch(ucd_server="http://ucd.example.org:8080")})
JOBS = {
    "job-prepare": build_prepare_job(PLAIN, 1, SETTINGS),
    "job-train": build_train_job(PLAIN, 1, SETTINGS),
    "job-prepare-full": build_prepare_job(FULL, 2, ELABORATE),
    "job-prepare-image": build_prepare_job(FROM_IMAGE, 1, FETCHING),
    "job-train-full": build_train_job(FULL, 2, ELABORATE, avoid_nodes=["node-7", "node-9"]),
    "job-train-queued": build_train_job(QUEUED, 1, SETTINGS),
    "job-train-nodes": build_train_job(ON_NODES, 3, SETTINGS),
    "job-train-rack": build_train_job(IN_RACK, 1, SETTINGS, avoid_nodes=["node-7"]),
    "job-train-rack-queued": build_train_job(IN_RACK_QUEUED, 1, SETTINGS),
    "job-train-cpu": build_train_job(ON_CPU, 1, SETTINGS),
}


@pytest.mark.parametrize("name", JOBS)
def test_build_job_matches_its_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(yaml.safe_dump(JOBS[name], sort_keys=False, width=110))
    want = yaml.safe_load(path.read_text())
    assert JOBS[name] == want


def test_build_peer_objects_match_their_golden_file() -> None:
    policies = SETTINGS.model_copy(update={"network_policies": True})
    made = list(build_peer_objects(ON_NODES, policies))
    path = GOLDEN / "peers.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(yaml.safe_dump_all(made, sort_keys=False, width=110))
    assert made == list(yaml.safe_load_all(path.read_text()))
    for one in made:
        kubernetes_validate.validate(one, "1.36", strict=True)
    assert build_peer_objects(ON_NODES, SETTINGS) == (made[0],), "without the chart's policies"
    assert build_peer_objects(PLAIN, policies) == ()


def test_build_peer_objects_speak_of_the_pods_of_the_train_job_alone() -> None:
    service, policy = build_peer_objects(ON_NODES, SETTINGS.model_copy(update={"network_policies": True}))
    chosen = service["spec"]["selector"].items()
    assert policy["spec"]["podSelector"]["matchLabels"].items() == chosen
    train, other = JOBS["job-train-nodes"], build_train_job(FULL, 1, SETTINGS)
    labels = {
        job["metadata"]["name"]: job["spec"]["template"]["metadata"]["labels"].items()
        for job in (train, other, build_prepare_job(ON_NODES, 3, SETTINGS))
    }
    assert [name for name, found in labels.items() if chosen <= found] == ["2nd-try-r1a3-train"]
    assert train["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"] == "gang-2nd-try"
    assert _config(train).rendezvous == "2nd-try-r1a3-train-0.gang-2nd-try"
    assert _config(build_prepare_job(ON_NODES, 3, SETTINGS)).rendezvous is None


def test_build_train_job_on_several_nodes_may_be_taken_back_by_its_queue() -> None:
    """Its pods leave together and come back together; one that is replaced alone meets peers that lost it."""
    job = JOBS["job-train-rack-queued"]
    assert job["spec"]["podFailurePolicy"] == JOBS["job-train-queued"]["spec"]["podFailurePolicy"]


@pytest.mark.parametrize("name", JOBS)
def test_build_job_is_a_valid_job(name: str) -> None:
    V1Job.model_validate(JOBS[name])
    kubernetes_validate.validate(JOBS[name], "1.36", strict=True)


@pytest.mark.parametrize("name", JOBS)
def test_build_job_carries_a_configuration_that_the_trainer_reads(name: str) -> None:
    assert _config(JOBS[name]).stage == JOBS[name]["metadata"]["labels"]["yolo.training/stage"]


@pytest.mark.parametrize(
    ("fetch", "data", "want"),
    [
        (None, {"train": "https://example.org/a.zip"}, "none"),
        ({"ucdServer": "http://ucd"}, {"train": "a"}, "fetch"),
        ({"archives": True}, {"train": "a"}, "none"),
        ({"archives": True}, {"train": "https://example.org/a.zip"}, "fetch"),
        ({"archives": True}, {"train": "a", "val": "https://example.org/a.zip"}, "fetch"),
        ({}, {"train": "https://example.org/a.zip"}, "none"),
    ],
)
def test_build_prepare_job_opens_the_network_for_what_may_be_fetched(
    fetch: dict[str, Any] | None, data: dict[str, Any], want: str
) -> None:
    settings = SETTINGS.model_copy(update={"fetch": None if fetch is None else Fetch.model_validate(fetch)})
    training = YoloTraining.model_validate(make_training(template={"model": "m.yaml", "data": data}))
    assert _egress(build_prepare_job(training, 1, settings)) == want
    assert _egress(build_train_job(training, 1, settings)) == "none"


def test_build_job_gives_the_image_and_the_network_to_prepare_alone() -> None:
    prepare, train = JOBS["job-prepare-image"], build_train_job(FROM_IMAGE, 1, FETCHING)
    assert _config(prepare).fetch == FETCHING.fetch
    assert _config(train).fetch is None
    assert {"name": "dataset", "mountPath": "/dataset", "readOnly": True} in _container(prepare)[
        "volumeMounts"
    ]
    assert "dataset" not in {volume["name"] for volume in train["spec"]["template"]["spec"]["volumes"]}


def test_build_train_job_sees_no_other_run_and_no_writable_data() -> None:
    mounts = _container(JOBS["job-train-full"])["volumeMounts"]
    assert [m for m in mounts if m["name"] == "data"] == [
        {"name": "data", "mountPath": "/data", "readOnly": True}
    ]
    want = ["train/Helm v2", "train_info/Helm v2"]
    assert [m["subPath"] for m in mounts if m["name"] == "runs"] == want


def test_build_train_job_tells_the_trainer_the_remedies() -> None:
    job = build_train_job(PLAIN, 2, SETTINGS, overrides={"batch": "8", "cache": "none", "amp": "false"})
    assert _config(job).overrides == {"batch": "8", "cache": "none", "amp": "false"}


def test_build_train_job_without_gpus_asks_for_none() -> None:
    spec = JOBS["job-train-cpu"]["spec"]["template"]["spec"]
    assert "nvidia.com/gpu" not in str(spec["containers"][0]["resources"])
    assert "nvidia.com/gpu" not in str(spec["tolerations"])


def test_build_job_lets_the_installer_win_over_the_node_selector() -> None:
    training = YoloTraining.model_validate(
        make_training(
            template={
                "model": "m.yaml",
                "data": {"train": "a"},
                "scheduling": {"nodeSelector": {"storage": "elsewhere", "gpu": "a100"}},
            }
        )
    )
    spec = build_train_job(training, 1, ELABORATE)["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"storage": "here", "gpu": "a100"}


@pytest.mark.parametrize(
    ("installed", "asked", "want"),
    [
        ({}, {}, ({}, {})),
        ({}, {"queueName": "a"}, ({}, {"queue-name": "a"})),
        ({}, {"prepareQueueName": "b"}, ({"queue-name": "b"}, {})),
        ({"queue_name": "d"}, {}, ({}, {"queue-name": "d"})),
        (
            {"queue_name": "d", "prepare_queue_name": "e"},
            {"queueName": "a"},
            ({"queue-name": "e"}, {"queue-name": "a"}),
        ),
        (
            {},
            {"queueName": "a", "workloadPriorityClass": "p"},
            ({"priority-class": "p"}, {"queue-name": "a", "priority-class": "p"}),
        ),
    ],
)
def test_build_job_names_the_queue_on_the_job_alone(
    installed: dict[str, str], asked: dict[str, str], want: tuple[dict[str, str], dict[str, str]]
) -> None:
    template = {"model": "m.yaml", "data": {"train": "a"}, "scheduling": asked}
    training = YoloTraining.model_validate(make_training(template=template))
    settings = SETTINGS.model_copy(update=installed)
    for job, labels in zip(
        (build_prepare_job(training, 1, settings), build_train_job(training, 1, settings)), want, strict=True
    ):
        found = {key: value for key, value in job["metadata"]["labels"].items() if "kueue" in key}
        assert found == {f"kueue.x-k8s.io/{name}": value for name, value in labels.items()}
        assert "kueue" not in str(job["spec"]["template"])
        assert ("podFailurePolicy" in job["spec"]) == bool(labels)


def test_build_job_names_fit_in_a_label() -> None:
    training = YoloTraining.model_validate(make_training(name="a" * 40, run=99_999))
    assert len(build_prepare_job(training, 9999, SETTINGS)["metadata"]["name"]) <= 63
    assert Stage.PREPARE in build_prepare_job(training, 9999, SETTINGS)["metadata"]["name"]


def _config(job: dict[str, Any]) -> TrainerConfig:
    env = {e["name"]: e.get("value") for e in _container(job)["env"]}
    return TrainerConfig.model_validate_json(env[CONFIG_ENV])


def _egress(job: dict[str, Any]) -> str:
    return str(job["spec"]["template"]["metadata"]["labels"][LABEL_EGRESS])


def _container(job: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = job["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(("cache", "want"), [("none", []), ("disk", ["50Gi"]), ("ram", ["50Gi"])])
def test_build_train_job_has_a_place_for_decoded_images(cache: str, want: list[str]) -> None:
    template = {
        "model": "m.yaml",
        "data": {"train": "a"},
        "cache": cache,
        "resources": {"cacheStorage": "50Gi"},
    }
    job = build_train_job(YoloTraining.model_validate(make_training(template=template)), 1, SETTINGS)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert [v["emptyDir"]["sizeLimit"] for v in volumes if v["name"] == "cache"] == want
    mounts = [m["mountPath"] for m in _container(job)["volumeMounts"] if m["name"] == "cache"]
    assert mounts == [_config(job).cache_dir] * len(want)
    kubernetes_validate.validate(job, "1.36", strict=True)


@pytest.mark.parametrize(
    ("limit_cpu", "own", "want"),
    [
        (False, {}, (None, None)),
        (True, {}, ("1", "2")),
        (False, {"cpu": 4, "cpuLimit": 6}, ("1", "6")),
        (True, {"cpuLimit": "3"}, ("1", "3")),
    ],
)
def test_a_cpu_limit_is_the_installations_or_the_trainings(
    limit_cpu: bool, own: dict[str, Any], want: tuple[str | None, str | None]
) -> None:
    template = {"model": "yolo11n.yaml", "data": {"train": "a"}, "resources": own}
    training = YoloTraining.model_validate(make_training(template=template))
    settings = SETTINGS.model_copy(update={"limit_cpu": limit_cpu})
    jobs = build_prepare_job(training, 1, settings), build_train_job(training, 1, settings)
    limits = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] for job in jobs]
    assert tuple(each.get("cpu") for each in limits) == want


@pytest.mark.parametrize("name", ["仓库" * 64, "a" * 128, '"' * 128])
def test_a_thousand_long_labels_reach_the_trainer(name: str) -> None:
    labels = [f"{number:04}{name}"[:128] for number in range(1000)]
    template = {"model": "yolo11n.yaml", "data": {"train": "a", "labels": labels}}
    job = build_train_job(YoloTraining.model_validate(make_training(template=template)), 1, SETTINGS)
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    values = {one["name"]: one["value"] for one in env if "value" in one}
    assert max(len(f"{key}={value}".encode()) for key, value in values.items()) < 32 * 4096
    config = TrainerConfig.model_validate_json(join_config(values))
    assert config.template.data.labels == labels


def test_the_kubelet_finds_nothing_to_expand() -> None:
    template = {"model": "yolo11n.yaml", "data": {"train": "a", "labels": ["US$$", "$(POD_NAME)"]}}
    job = build_train_job(YoloTraining.model_validate(make_training(template=template)), 1, SETTINGS)
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    values = {one["name"]: one["value"] for one in env if "value" in one}
    assert "$" not in "".join(values.values())
    config = TrainerConfig.model_validate_json(join_config(values))
    assert config.template.data.labels == ["US$$", "$(POD_NAME)"]


def test_the_cluster_may_choose_user_and_group() -> None:
    settings = SETTINGS.model_copy(update={"run_as_user": None, "run_as_group": None})
    for build in (build_prepare_job, build_train_job):
        context = build(PLAIN, 1, settings)["spec"]["template"]["spec"]["securityContext"]
        assert context == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
