"""What the installer can set, by environment variables `YOLO_GPU_AGENT_<NAME>`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from yolo_crds.gpus import AGENT_PORT


class Settings(BaseSettings):
    """The agent's settings."""

    model_config = SettingsConfigDict(
        env_prefix="YOLO_GPU_AGENT_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    node: str = Field(min_length=1, max_length=253)
    """Name of the node that this runs on."""
    pod_resources_socket: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    """Where the kubelet tells who holds which device. Its folder is to be mounted, not the socket itself."""
    host: str = ""
    """Address to listen on; empty: all, of IPv4 and IPv6 alike."""
    port: int = Field(default=AGENT_PORT, ge=1, le=65535)
    """Port to listen on."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""
