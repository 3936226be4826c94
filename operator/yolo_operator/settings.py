"""All that an installer can set, from environment variables `YOLO_OPERATOR_<NAME>`."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from yolo_crds.trainer import Fetch
from yolo_crds.training import Toleration


class Settings(BaseSettings):
    """The operator's settings; lists and maps are given as JSON."""

    model_config = SettingsConfigDict(
        env_prefix="YOLO_OPERATOR_", frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    trainer_image: str = Field(min_length=1)
    """Image of the trainer, for prepare and train alike."""
    trainer_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls that image."""
    image_pull_secrets: list[str] = []
    """Names of the pull secrets, the same in every namespace that is served."""
    data_claim: str = Field(min_length=1)
    """Name of the PersistentVolumeClaim that holds the data, the same in every namespace."""
    runs_claim: str = Field(min_length=1)
    """Name of the PersistentVolumeClaim that holds the run folders, the same in every namespace."""
    run_as_user: int | None = Field(default=None, ge=1)
    """User id of the training pods; the façade's must be the same. Unset: the cluster chooses (OpenShift), or
    else the image."""
    run_as_group: int | None = Field(default=None, ge=1)
    """Group id of the training pods and of what they write; unset as above."""
    service_account: str = ""
    """Service account of the training pods; empty: the namespace's default. No token is ever mounted."""
    time_zone: str = "UTC"
    """IANA name of the time zone of the time stamps in the training logs."""
    namespaces: list[str] = []
    """Namespaces to serve; empty: all."""
    node_selector: dict[str, str] = {}
    """Labels that the node of every training pod must have (both stages); wins over a training's own."""
    tolerations: list[Toleration] = []
    """Taints that every training pod tolerates (both stages)."""
    prepare_cpu: str = "1"
    """CPU request of the prepare pod."""
    prepare_memory: str = "2Gi"
    """Memory request and limit of the prepare pod."""
    pod_labels: dict[str, str] = {}
    """Labels of every training pod (both stages) besides the operator's own."""
    pod_annotations: dict[str, str] = {}
    """Annotations of every training pod."""
    refuse_sidecars: bool = True
    """Mark training pods so that meshes and Vault inject no container; what is set above wins."""
    limit_cpu: bool = False
    """Give each training pod a CPU limit as high as its CPU request, where its training states none."""
    queue_name: str = ""
    """Kueue's LocalQueue for train Jobs of trainings that name none, the same in each namespace; or empty."""
    prepare_queue_name: str = ""
    """The same for prepare Jobs."""
    network_policies: bool = False
    """Make a NetworkPolicy for each training on several nodes, which opens its pods to each other: the
    chart's policies deny them all but DNS. Without those none is needed."""
    gang_timeout_seconds: float = Field(default=300.0, gt=0)
    """How long some pods of a training on several nodes hold their GPUs while others have no node; then all
    are given up for a while. Where a queue admits the Job, it counts GPUs for all of them: no limit then."""
    keep_finished_job_seconds: int = Field(default=3600, ge=0, le=604_800)
    """How long the last Job of a run that has ended is kept for `kubectl logs`; 0: not at all."""
    fetch: Fetch | None = None
    """What prepare may fetch over the network, as JSON (`{"ucdServer": …}`); unset: nothing."""
    metrics_port: int = Field(default=8080, ge=0, le=65535)
    """Port of the Prometheus metrics; 0 serves none."""
    health_port: int = Field(default=8081, ge=0, le=65535)
    """Port of /healthz; 0 serves none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe log records that are written."""
    progress_interval_seconds: float = Field(default=10.0, gt=0)
    """How often a running pod's log tail is read for its progress."""
    resync_seconds: float = Field(default=300.0, gt=0)
    """How often everything is listed, to look for what a watch missed and to check that watches are alive."""


class FarewellSettings(BaseSettings):
    """What `python -m yolo_operator farewell` is told, by environment variables `YOLO_FAREWELL_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="YOLO_FAREWELL_", frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    release: str = Field(min_length=1)
    """Name of the Helm release that goes."""
    own_namespace: str = Field(min_length=1)
    """Its namespace."""
    namespaces: list[str] = []
    """Namespaces that it served; empty: all."""
    deployment: str = Field(min_length=1)
    """Name of the operator's Deployment."""
    operator_selector: str = Field(min_length=1)
    """Label selector of the operator's pods."""
    stop: bool = False
    """Stop the trainings, instead of leaving their pods alone."""
    stop_seconds: float = Field(default=150.0, gt=0)
    """How long to wait for their ends; a pod has `terminationGracePeriodSeconds` to save its state."""
    operator_seconds: float = Field(default=40.0, gt=0)
    """How long to wait for the operator's end; its pod has the 30 s that Kubernetes gives by default."""
