"""What operator, trainer and contracts say, in the words of those who call over HTTP.

They speak of fields of the custom resource and of `kubectl`; a client of `POST /start` has its keys. This is
the one place that translates, so that what is said once serves both doors.
"""

import re

from .spec_keys import KEYS, Path

_AGAIN = "start it again with continue_train"
_AFRESH = "clear it with /clear_train_cache and start it afresh"
_AGAIN_RUNNING = "terminate it and start it again with continue_train"
"""Of one that has not ended: what runs cannot be started."""
_GROUPS: dict[Path, str] = {
    ("template", "hyperparameters"): "hyp_dict",
    ("template", "extraArgs"): "hyp_dict",
    ("template", "data"): "train_ucd",
    ("template", "resources"): "the resources asked for",
    ("template", "scheduling"): "the body of /start",
    ("template",): "the body of /start",
    ("lifecycle",): "the body of /start",
}
_PHRASES: tuple[tuple[str, str], ...] = (
    (r"the annotation yolo\.training/retry with a new value", "starting it again with continue_train"),
    (r"the annotation yolo\.training/retry", "starting it again with continue_train"),
    (r"raise (?:spec\.)?run without resume to start afresh", _AFRESH),
    (r"set spec\.resume to false and raise spec\.run", "start it under another model_name"),
    (r"delete the object and create it anew", _AFRESH),
    (r"delete the object and create it", _AFRESH),
    (r"raise spec\.run, with spec\.resume(?= to go on)", "{again}"),
    (r"set spec\.stop: false, spec\.resume: true and spec\.run: \d+", "{again}"),
    (r"spec\.resume: true and spec\.run: \d+", "continue_train: true"),
    (r"raise (?:spec\.)?run\b(?:(?: with| and set|, set) (?:spec\.)?resume\b)?", "{again}"),
    (r"with a higher (?:spec\.)?run\b", "when it is started again with continue_train"),
    (r"a higher (?:spec\.)?run\b", "a new start with continue_train"),
    (r"set spec\.suspend of the Job must unset it", "suspended the Job must resume it"),
    (r"kubectl logs", "the log in /train_info of"),
    (r"kubectl describe", "the cluster's description of the"),
    (r"kubectl", "the cluster's own tools"),
    (r"spec\.run\b", "its run"),
    (r"spec\.stop\b", "/terminate"),
    (r"of the spec\b", "of the body of /start"),
    (r"spec and\b", "body of /start and"),
    (r"lower batch\b", "lower batch_size"),
)
"""Patterns of what is said there, the longer ones first, and what it means over HTTP."""
_CAMEL = {path[-1]: key for path, key in KEYS.items() if not path[-1].islower()} | {"modelName": "model_name"}
_WORDS = sorted(_CAMEL, key=len, reverse=True)
_QUOTED = r"(?<!\w)'[^'\s]*'|(?<!\w)\"[^\"\s]*\""
_FIRST = "|".join(sorted({path[1] for path in KEYS if len(path) > 1}))
_FIELD = rf"\b(?:template|lifecycle)\.(?:{_FIRST})\b(?:\.[A-Za-z]\w*)*|\bspec(?:\.[A-Za-z]\w*)+"
_SAID = re.compile(
    "|".join(
        (
            rf"(?P<quoted>{_QUOTED})",
            *(rf"(?P<p{number}>\b{pattern})" for number, (pattern, _) in enumerate(_PHRASES)),
            rf"(?P<field>{_FIELD})",
            rf"(?P<word>\b(?:(?:scheduling|resources|lifecycle|data)\.)?(?:{'|'.join(_WORDS)})\b)",
            r"(?P<part>\b(?:scheduling|resources)\.[a-z]\w*)",
        )
    )
)


def to_rest_words(text: str, *, ended: bool = True) -> str:
    """A message or hint with the keys of `POST /start` for fields of the resource, and calls for commands.

    What stands between quotation marks is somebody's own word and stays. `ended` says whether the training
    that is spoken of has ended: one that has not must be terminated before it can be started again.
    """

    def replace(found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        if kind == "quoted":
            return found[0]
        if kind == "field":
            return to_key(found[0])
        if kind == "word":
            return _CAMEL.get(found[0].rpartition(".")[2], found[0])
        if kind == "part":
            return found[0].rpartition(".")[2]
        return _PHRASES[int(kind[1:])][1].format(again=_AGAIN if ended else _AGAIN_RUNNING)

    return _SAID.sub(replace, text)


def to_key(field: str) -> str:
    """The key of `POST /start` for a field's name as in the resource, as `spec.template.resources.memory`;
    what lies deeper than the key is added, a field without one keeps its last part.
    """
    path = tuple(part.split("[")[0] for part in field.removeprefix("spec.").split("."))
    if path == ("spec",):
        return "body"
    for length in range(len(path), 0, -1):
        here = path[:length]
        if key := KEYS.get(here) or _GROUPS.get(here):
            deeper = path[length:] if here in KEYS else ()
            return ".".join((key, *deeper))
    return path[-1]
