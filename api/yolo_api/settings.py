"""What the installer can set, by environment variables `YOLO_API_<NAME>`."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from yolo_crds.layout import DATA_DIR, RUNS_DIR
from yolo_crds.trainer import Fetch
from yolo_crds.training import Quantity

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_PORT = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?(:(?P<port>[0-9]{{1,5}}))?")
_PORT_MAX = 65535
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _own_namespace() -> str:
    """The namespace of the pod that this runs in; `default` outside a cluster."""
    return NAMESPACE_FILE.read_text(encoding="utf-8").strip() if NAMESPACE_FILE.exists() else "default"


class Settings(BaseSettings):
    """The façade's settings. One façade serves one namespace and that namespace's two volumes."""

    model_config = SettingsConfigDict(
        env_prefix="YOLO_API_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    namespace: str = Field(default_factory=_own_namespace, min_length=1)
    """Namespace of the trainings; by default the pod's own."""
    data_dir: Path = DATA_DIR
    """Where the data volume is mounted (read-only is enough)."""
    runs_dir: Path = RUNS_DIR
    """Where the run volume is mounted."""
    legacy_anonymous: bool = False
    """Lets everyone use the old paths without a token, as the old server did."""
    legacy_anonymous_networks: list[IPv4Network | IPv6Network] = Field(default_factory=list)
    """Client networks (a JSON list of CIDRs) that `legacy_anonymous` is for; empty: any."""
    legacy_destructive_get: bool = True
    """Whether GET may terminate a training and clear its cache, as old clients do; POST and DELETE may."""
    host: str = ""
    """Address to listen on; empty: all, of IPv4 and IPv6 alike."""
    port: int = Field(default=60066, ge=1, le=65535)
    """Port to listen on; 60066 was the old server's."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""
    time_zone: str = "UTC"
    """IANA time zone of the time stamps in this server's log."""
    audience: str = "yolo-api"
    """Audience that a service account token must be made for."""
    fetch: Fetch | None = None
    """What the operator lets prepare fetch over the network, as JSON; unset: nothing."""
    default_cpu: Quantity | None = None
    """CPU request of trainings that come in by REST; unset: the custom resource's default."""
    default_memory: Quantity | None = None
    """Memory of trainings that come in by REST; unset: the custom resource's default."""
    default_shared_memory: Quantity | None = None
    """Size of /dev/shm of trainings that come in by REST; unset: the custom resource's default."""

    gpu_agents: str = ""
    """Host name of the GPU agents' headless Service, `host` or `host:port`; empty: there are none."""

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Berlin") from error
        return name

    @field_validator("gpu_agents")
    @classmethod
    def _check_gpu_agents(cls, address: str) -> str:
        found = _HOST_PORT.fullmatch(address)
        if address and (found is None or not 1 <= int(found["port"] or 1) <= _PORT_MAX):
            raise ValueError(f"{address!r} is no host or host:port with a port from 1 to {_PORT_MAX}")
        return address

    @property
    def default_resources(self) -> dict[str, str]:
        """The overridden parts of `spec.template.resources`, in wire names."""
        named = {
            "cpu": self.default_cpu,
            "memory": self.default_memory,
            "sharedMemory": self.default_shared_memory,
        }
        return {name: value for name, value in named.items() if value is not None}
