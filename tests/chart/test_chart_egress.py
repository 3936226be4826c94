"""What the chart opens to pods that fetch, and the collector, which reaches nothing."""

from typing import Any

import pytest

from chart.rendering import ALL_VALUES, Chart, container, environment, load_yaml, nested
from yolo_crds import meta
from yolo_operator.injection import OPT_OUT_ANNOTATIONS, OPT_OUT_LABELS

pytestmark = pytest.mark.chart

ALL: dict[str, Any] = load_yaml(ALL_VALUES)
ONLY_PUBLIC: list[dict[str, Any]] = [
    {
        "ipBlock": {
            "cidr": "0.0.0.0/0",
            "except": [
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.168.0.0/16",
            ],
        }
    },
    {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}},
]
DNS: dict[str, Any] = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
EGRESS: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
    ({"archives": {"enabled": True}}, [{"ports": [{"protocol": "TCP", "port": 443}], "to": ONLY_PUBLIC}]),
    (
        {"ucdServer": "http://192.0.2.7:8080"},
        [
            {
                "ports": [{"protocol": "TCP", "port": 8080}],
                "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
            }
        ],
    ),
    ({"ucdServer": "http://ucd.example.org:81/x"}, [{"ports": [{"protocol": "TCP", "port": 81}]}]),
    ({"ucdServer": "http://ucd"}, [{"ports": [{"protocol": "TCP", "port": 80}]}]),
    ({"ucdServer": "https://ucd.example.org"}, [{"ports": [{"protocol": "TCP", "port": 443}]}]),
    ({"ucdServer": "http://[fd00::7]:8080"}, [{"ports": [{"protocol": "TCP", "port": 8080}]}]),
    (
        {"ucdServer": "http://ucd", "extraEgress": [{"ports": [{"port": 5353}]}]},
        [{"ports": [{"protocol": "TCP", "port": 80}]}, {"ports": [{"port": 5353}]}],
    ),
]


@pytest.mark.parametrize(("fetch", "want"), EGRESS, ids=[str(fetch) for fetch, _ in EGRESS])
def test_network_policy_opens_what_may_be_fetched(
    chart: Chart, fetch: dict[str, Any], want: list[dict[str, Any]]
) -> None:
    labels = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: str(meta.Egress.FETCH)}
    assert chart.one("NetworkPolicy", "yolo-fetching-pods", {"fetch": fetch})["spec"] == {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [DNS, *want],
    }


def test_collector_runs_the_trainers_command_without_network(chart: Chart) -> None:
    manifest = chart.one("CronJob", "training-gc", ALL)
    found = container(manifest)
    operator = environment(chart.one("Deployment", "training-operator", ALL))
    assert found["image"] == operator["YOLO_OPERATOR_TRAINER_IMAGE"]
    assert found["command"] + found["args"] == [
        *("python", "-m", "yolo_trainer"),
        *("data", "gc", "--older-than", "90d"),
    ]
    labels = manifest["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    denied = chart.one("NetworkPolicy", "training-training-pods", ALL | {"operator": {"enabled": False}})
    assert denied["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert meta.LABEL_TRAINING not in labels, "the operator would take it for a training's"
    assert manifest["spec"]["schedule"] == "0 3 * * *"
    assert manifest["spec"]["timeZone"] == "Asia/Shanghai"


def test_collector_is_left_alone_by_meshes_as_training_pods_are(chart: Chart) -> None:
    schedule = nested("storage.gc.schedule", "0 3 * * *")

    def metadata(**trainer: object) -> dict[str, Any]:
        manifest = chart.one("CronJob", "yolo-gc", schedule | {"trainer": trainer})
        found: dict[str, Any] = manifest["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
        return found

    assert OPT_OUT_LABELS.items() <= metadata()["labels"].items()
    assert metadata()["annotations"] == OPT_OUT_ANNOTATIONS
    own = metadata(podLabels={"sidecar.istio.io/inject": "true"}, podAnnotations={"a": "b"})
    assert own["labels"]["sidecar.istio.io/inject"] == "true"
    assert own["annotations"] == OPT_OUT_ANNOTATIONS | {"a": "b"}
    plain = metadata(refuseSidecars=False)
    assert not OPT_OUT_LABELS.keys() & plain["labels"].keys()
    assert "annotations" not in plain
