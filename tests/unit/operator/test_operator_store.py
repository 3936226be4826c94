"""What is kept of the objects, what counts as news, and what is forgotten."""

from dataclasses import replace
from typing import Any

import pytest

from operator_objects import make_job, make_pod, make_training, start
from yolo_crds.meta import LABEL_TRAINING, Stage
from yolo_operator.children import hear_jobs, hear_pods
from yolo_operator.snapshot import JobView, PodView, view_pod, view_training
from yolo_operator.store import Key, Store

KEY: Key = ("lab", "cats")
JOB = make_job(make_training(), Stage.TRAIN)
POD = start(make_pod(JOB))


def _pod() -> PodView:
    pod = view_pod(POD)
    assert pod is not None
    return pod


def _version(body: dict[str, Any], version: int) -> dict[str, Any]:
    return body | {"metadata": body["metadata"] | {"resourceVersion": str(version)}}


def test_store_keeps_the_newest_version_of_a_training() -> None:
    store = Store()
    old, new = view_training(make_training()), view_training(make_training(run=2))
    new["metadata"] = new["metadata"] | {"resourceVersion": "11"}
    store.put_training(new)
    store.put_training(old)
    (kept,) = store.trainings()
    assert kept["spec"]["run"] == 2


def test_store_does_not_drop_a_namesake() -> None:
    store = Store()
    store.put_training(view_training(make_training()))
    store.drop_training(KEY, "another uid")
    assert store.list_keys() == [KEY]


def test_training_told_twice_is_no_news() -> None:
    store = Store()
    assert store.put_training(view_training(make_training()))
    assert not store.put_training(view_training(make_training()))
    assert store.put_training(view_training(_version(make_training(), 11)))
    assert not store.put_training(view_training(make_training())), "an older version"


def test_pod_is_news_only_where_decisions_need_it() -> None:
    store = Store()
    told: list[Key] = []
    pods = hear_pods(store, None, told.append)
    pods.put(POD)
    pods.put(_version(POD, 50))
    assert told == [KEY]
    pods.put(_version(make_pod(JOB), 40))
    ((_, kept),) = store.pods()
    assert kept.started_at is not None, "what comes late does not replace what is newer"
    assert store.children(PodView, None) == {kept.uid: 50}


def test_pod_whose_label_changes_has_one_training() -> None:
    store, told = Store(), list[Key]()
    pods = hear_pods(store, None, told.append)
    pods.put(POD)
    labels = POD["metadata"]["labels"] | {LABEL_TRAINING: "dogs"}
    pods.put(_version(POD | {"metadata": POD["metadata"] | {"labels": labels}}, 50))
    assert [key for key, _ in store.pods()] == [("lab", "dogs")]


@pytest.mark.parametrize("labels", [{}, {"yolo.training/run": "x"}, {"yolo.training/stage": "mine"}])
def test_strangers_pod_that_names_a_training_is_passed_over(labels: dict[str, str]) -> None:
    """Anybody may copy a label."""
    store, told = Store(), list[Key]()
    pods = hear_pods(store, None, told.append)
    wrong = labels and POD["metadata"]["labels"] | labels
    stranger = POD | {"metadata": POD["metadata"] | {"labels": wrong or {LABEL_TRAINING: "cats"}}}
    pods.put(stranger)
    pods.drop(stranger)
    assert (list(store.pods()), told) == ([], [])
    pods.put(POD)
    pods.put(_version(stranger, 50))
    assert (list(store.pods()), told) == ([], [KEY, KEY]), "it was ours before its labels changed"


def test_what_is_gone_is_forgotten_and_its_training_looked_at() -> None:
    store, told = Store(), list[Key]()
    jobs, pods = hear_jobs(store, "lab", told.append), hear_pods(store, "lab", told.append)
    jobs.put(JOB)
    pods.put(POD)
    pods.drop(POD)
    assert (list(store.pods()), told) == ([], [KEY] * 3)
    jobs.keep(set(), int(JOB["metadata"]["resourceVersion"]) - 1)
    assert store.children(JobView, None), "it is newer than the list"
    jobs.keep(set(), int(JOB["metadata"]["resourceVersion"]))
    assert (store.children(JobView, None), len(told)) == ({}, 4)
    pods.put(POD)
    pods.forget()
    assert (list(store.pods()), len(told)) == ([], 6)


def test_list_of_one_namespace_says_nothing_of_another() -> None:
    store = Store()
    store.put_pod(("elsewhere", "cats"), replace(_pod(), uid="other"))
    store.put_pod(KEY, _pod())
    hear_pods(store, "lab", lambda key: None).keep(set(), 10**9)
    hear_pods(store, "lab", lambda key: None).forget()
    assert [key for key, _ in store.pods()] == [("elsewhere", "cats")]
