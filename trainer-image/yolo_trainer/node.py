"""Which of the pods of one training this one is, and by what it finds the others (ADR 19, 20)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from yolo_crds.meta import Stage, attempt_token
from yolo_crds.trainer import TrainerConfig

from .errors import InvalidArgumentsError

INDEX_ENV = "JOB_COMPLETION_INDEX"
"""Set by the controller of Indexed Jobs."""
ADDRESS_ENV = "POD_IP"


@dataclass(frozen=True)
class Node:
    """One pod of a training; without arguments the only one."""

    index: int = 0
    count: int = 1
    rendezvous: str = ""
    """DNS name, or address, of the pod with index 0."""
    address: str = ""
    """This pod's own, if it is known."""
    token: str = ""
    """Of the attempt: pods of another one are not its peers."""

    @classmethod
    def of(cls, config: TrainerConfig, environment: Mapping[str, str] = os.environ) -> Node:
        """What configuration and environment say; raises InvalidArgumentsError where those do not agree."""
        count = config.template.resources.nodes
        if config.stage is not Stage.TRAIN or config.rendezvous is None or count == 1:
            return cls()
        text = environment.get(INDEX_ENV, "")
        if not (text.isascii() and text.isdigit() and int(text) < count):
            raise InvalidArgumentsError(
                f"{INDEX_ENV}={text!r} is no index of a pod of {count}; it must be 0 to {count - 1}"
            )
        token = attempt_token(config.uid, config.run, config.attempt)
        return cls(int(text), count, config.rendezvous, environment.get(ADDRESS_ENV, ""), token)

    @property
    def leads(self) -> bool:
        """Whether this pod has rank 0, and with it the run folder, the progress and the result."""
        return self.index == 0
