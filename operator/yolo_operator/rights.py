"""The rights at the API server that the requests of `kube` and the watches need."""

from yolo_crds import meta

RBAC: list[tuple[str, str, tuple[str, ...]]] = [
    (meta.GROUP, meta.PLURAL, ("get", "list", "watch", "delete")),
    (meta.GROUP, f"{meta.PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("get", "list", "watch", "create", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "pods/log", ("get",)),
    ("", "events", ("list", "create")),
    ("", "services", ("get", "create")),
    ("networking.k8s.io", "networkpolicies", ("get", "create")),
    ("kueue.x-k8s.io", "workloads", ("list",)),
    ("visibility.kueue.x-k8s.io", "localqueues/pendingworkloads", ("get",)),
]
"""(API group, resource, verbs) in each served namespace."""
RBAC_CLUSTER: list[tuple[str, str, tuple[str, ...]]] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", ("list", "watch")),
]
"""The same for the whole cluster, only where all namespaces are served: kopf looks out for its resource.
With a list of namespaces it needs none (`settings.scanning.disabled`)."""

RBAC_NODES: list[tuple[str, str, tuple[str, ...]]] = [("", "nodes", ("list",))]
"""The same for the whole cluster, where the installer lets the operator see nodes (`rbac.nodes`)."""
RBAC_ALL_PODS: list[tuple[str, str, tuple[str, ...]]] = [("", "pods", ("list",))]
"""The same where it may see what pods of all namespaces ask for (`rbac.allPods`)."""

RBAC_FAREWELL: list[tuple[str, str, tuple[str, ...]]] = [
    (meta.GROUP, meta.PLURAL, ("list", "patch")),
    (meta.GROUP, f"{meta.PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("list",)),
    ("", "pods", ("list",)),
    ("networking.k8s.io", "networkpolicies", ("get", "list", "create")),
]
"""What `farewell` needs in each served namespace when the release goes, by an account of its own."""
RBAC_FAREWELL_OWN: list[tuple[str, str, tuple[str, ...]]] = [
    ("apps", "deployments/scale", ("patch",)),
    ("", "pods", ("list",)),
]
"""The same in the release's namespace, of the operator's own Deployment."""
