"""How a training looks to the clients of `GET /status`: pure functions of the object.

What operator and trainer wrote is told in the words of these clients (`wording`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from yolo_crds.conditions import HINTS, TERMINAL_PHASES, ConditionType, Phase, Reason
from yolo_crds.meta import ANNOTATION_WARNINGS

from .wording import to_rest_words

_ENDED = (Phase.SUCCEEDED, Phase.FAILED, Phase.TERMINATED)
_NOT_SEEN = "accepted; the operator has not taken it up yet"
_NOT_LET_GO = "asked to go on; the operator has not taken that up yet"
STALE_SECONDS = 900
"""Age at which a status no longer counts as current: the operator writes one at least every ten minutes."""
UNSEEN_SECONDS = 60
"""Time after which somebody should look why the operator, which takes up a request at once, has not."""


def observed_status(body: Mapping[str, Any]) -> dict[str, Any]:
    """The status, if it speaks of the run that the spec asks for; else nothing is known yet."""
    status: dict[str, Any] = body.get("status") or {}
    return status if status.get("run") == body["spec"].get("run", 1) else {}


def to_view(body: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of `models` in `GET /status`. Times are RFC 3339; what is not known is null."""
    status = observed_status(body)
    template = body["spec"]["template"]
    progress = status.get("progress") or {}
    phase = str(status.get("phase") or Phase.PENDING)
    reason, message = _why(status, phase)
    if phase == Phase.SUSPENDED and not body["spec"].get("suspend"):
        reason, message = Reason.ACCEPTED, _NOT_LET_GO
    annotated = _parse_warnings((body["metadata"].get("annotations") or {}).get(ANNOTATION_WARNINGS))
    warnings = dict.fromkeys([*annotated, *status.get("warnings", [])])
    return {
        "phase": phase,
        "reason": reason,
        "message": to_rest_words(message, ended=phase in TERMINAL_PHASES),
        "updated_at": status.get("seenAt") or status.get("completionTime"),
        "waiting": _waiting(status),
        "epoch": progress.get("epoch"),
        "epochs": progress.get("epochs") or template.get("epochs"),
        "percent": progress.get("percent"),
        "eta_seconds": progress.get("etaSeconds"),
        "metrics": progress.get("metrics") or (status.get("best") or {}).get("metrics") or {},
        "headline": (status.get("printed") or {}).get("metric"),
        "restarts": status.get("restarts", 0),
        "started_at": status.get("startTime"),
        "finished_at": status.get("completionTime"),
        "warnings": [to_rest_words(warning) for warning in warnings],
    }


def with_age(view: Mapping[str, Any], now: datetime, known_seconds: float) -> dict[str, Any]:
    """The view with `stale`: whether the operator should have written since, and says it in the message.

    `known_seconds`: for how long the object has been known in this state.
    """
    asked = view["reason"] == Reason.ACCEPTED and view["updated_at"] is None
    if view["phase"] in TERMINAL_PHASES or (view["phase"] == Phase.SUSPENDED and not asked):
        return {**view, "stale": False}
    if asked:
        stale, words = known_seconds >= UNSEEN_SECONDS, HINTS[Reason.NO_OPERATOR]
    else:
        age = _age(view["updated_at"], now)
        stale = age is not None and age >= STALE_SECONDS
        words = f"the operator has not been seen since {view['updated_at']}: does it run?"
    message = view["message"]
    if stale:
        message = f"{message}; {words}" if message else words
    return {**view, "message": message, "stale": stale}


def _age(moment: str | None, now: datetime) -> float | None:
    """Seconds since an RFC 3339 time; None where there is none that can be read."""
    try:
        return (now - datetime.fromisoformat(moment)).total_seconds() if moment else None
    except (ValueError, TypeError):
        return None


def _waiting(status: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the training waits for, in the operator's words; None while it does not wait."""
    waiting = status.get("waiting")
    if not waiting:
        return None
    forecast = waiting.get("forecast") or {}
    return {
        "since": waiting.get("since"),
        "asked": waiting.get("asked"),
        "place": waiting.get("place"),
        "starts_at": forecast.get("startsAt"),
        "basis": forecast.get("basis"),
        "holders": [
            {"name": one["name"], "node": one["node"], "amount": one["amount"], "ends_at": one.get("endsAt")}
            for one in waiting.get("holders", [])
        ],
    }


def _why(status: Mapping[str, Any], phase: str) -> tuple[str, str]:
    """Reason and message: of what failed or blocks, else of the condition that tells most.

    A failure with an attempt is that of an earlier one while another is under way: no news of this one.
    """
    failure = status.get("failure")
    if failure and (phase == Phase.FAILED or failure.get("attempt") is None):
        text = f"{failure['message']} ({failure['hint']})" if failure.get("hint") else failure["message"]
        return failure["reason"], text
    types = [ConditionType.RECONCILING, ConditionType.PROGRESSING]
    if phase in TERMINAL_PHASES:
        types = [ConditionType.FINISHED, ConditionType.COMPLETE, ConditionType.FAILED]
    elif phase == Phase.SUSPENDED:
        types = [ConditionType.SUSPENDED]
    conditions: dict[str, Mapping[str, Any]] = {c["type"]: c for c in status.get("conditions", [])}
    for kind in types:
        if (found := conditions.get(kind)) and found.get("reason"):
            return found["reason"], found.get("message", "")
    return (phase, "") if status.get("phase") else (Reason.ACCEPTED, _NOT_SEEN)


def _parse_warnings(text: str | None) -> list[str]:
    """The sentences of the annotation; a person may have written anything there."""
    try:
        parsed = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return [one for one in parsed if isinstance(one, str)] if isinstance(parsed, list) else []


def to_overview(trainings: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The answer of `GET /status` for (model name, phase, view) of every training.

    `Running` means what it meant to the old server's clients, which poll until a name is no longer in it:
    started and not ended. `Pending` names those of them that do not train yet (or are suspended).
    """
    ended = {phase.value: [name for name, at, _ in trainings if at == phase] for phase in _ENDED}
    active = [(name, phase) for name, phase, _ in trainings if phase not in TERMINAL_PHASES]
    return {
        "Running": [name for name, _ in active],
        "Pending": [name for name, phase in active if phase != Phase.RUNNING],
        **ended,
        "models": {name: view for name, _, view in trainings},
    }


def to_stage(view: Mapping[str, Any] | None, logged: str | None) -> list[str]:
    """How far a training is, as `i/N` or the word for its stage; of an adopted folder what its log says."""
    if view and view["epoch"] is not None:
        return [f"{view['epoch']}/{view['epochs']}"]
    if logged and (view is None or view["phase"] in TERMINAL_PHASES):
        return [logged]
    return [view["phase"]] if view else []
