"""The trainings' Jobs and pods as the API server tells them, into the store and the queue."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from yolo_kube.connection import Manifest

from .snapshot import JobView, PodView, training_name, view_job, view_pod
from .store import Key, Store


class Children:
    """Hears a reflector of Jobs or pods: what is news brings its training into the queue.

    keep_body: keeps an object for a training; whether that is news, None for an object that bears our label
    and is none of ours, as anybody may make one. namespace: that of the reflector; None: all.
    """

    def __init__(
        self,
        kind: type[JobView] | type[PodView],
        keep_body: Callable[[Key, Manifest], bool | None],
        store: Store,
        namespace: str | None,
        add: Callable[[Key], None],
    ) -> None:
        self._kind = kind
        self._keep_body = keep_body
        self._store = store
        self._namespace = namespace
        self._add = add

    def put(self, body: Manifest) -> None:
        """It is there, in this state."""
        key = (body["metadata"]["namespace"], training_name(body) or "")
        news = self._keep_body(key, body)
        if news is None:
            self.drop(body)
        elif news:
            self._add(key)

    def drop(self, body: Manifest) -> None:
        """It is gone, or is not ours any more."""
        self._forget(body["metadata"]["uid"])

    def keep(self, uids: AbstractSet[str], version: int) -> None:
        """All others known from before `version` are gone."""
        for uid, known in self._store.children(self._kind, self._namespace).items():
            if uid not in uids and known <= version:
                self._forget(uid)

    def forget(self) -> None:
        """None of those known holds."""
        for uid in self._store.children(self._kind, self._namespace):
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        if key := self._store.drop_child(uid):
            self._add(key)


def hear_jobs(store: Store, namespace: str | None, add: Callable[[Key], None]) -> Children:
    """The listener for Jobs."""

    def keep_body(key: Key, body: Manifest) -> bool | None:
        job = view_job(body)
        return None if job is None else store.put_job(key, job)

    return Children(JobView, keep_body, store, namespace, add)


def hear_pods(store: Store, namespace: str | None, add: Callable[[Key], None]) -> Children:
    """The listener for pods."""

    def keep_body(key: Key, body: Manifest) -> bool | None:
        pod = view_pod(body)
        return None if pod is None else store.put_pod(key, pod)

    return Children(PodView, keep_body, store, namespace, add)
