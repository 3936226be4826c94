"""What operator, trainer and contracts say reaches clients of the REST calls in their own words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import yolo_api
import yolo_crds
import yolo_operator
import yolo_trainer
from yolo_api.spec_keys import FIELDS, KEYS, WITHOUT_KEY
from yolo_api.status import to_view
from yolo_api.wording import to_key, to_rest_words
from yolo_crds.arguments import check_extra_args, check_hyperparameters
from yolo_crds.conditions import GO_ON, HINTS, Phase, Reason
from yolo_crds.schema import load_schema
from yolo_crds.training import Template

CAMEL = "|".join({path[-1] for path in FIELDS if not path[-1].islower()})
LEAK = re.compile(
    r"\bkubectl\b|\bspec\b|\b(?:template|lifecycle|scheduling|resources)\.[a-z]|yolo\.training/"
    rf"|\b(?:{CAMEL})\b"
)
"""Words that nobody understands who calls over HTTP."""
NO_MESSAGES = {"generate.py", "structural.py", "reference.py", "kube.py"}
"""Modules of the contracts and the operator that write files, or requests, and say nothing to anybody."""
OF_A_MODULE = {"api/yolo_api/wording.py"}
"""The table itself."""


def texts(package: Path) -> Iterator[tuple[str, str]]:
    """Every sentence in the code of a package, with where it stands; a value put in is an X."""
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package.parents[1]).as_posix()
        if path.name in NO_MESSAGES or where in OF_A_MODULE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        described = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                described |= {id(part) for part in node.values}
                parts = [p.value if isinstance(p, ast.Constant) else "X" for p in node.values]
                yield f"{where}:{node.lineno}", "".join(map(str, parts))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
                yield f"{where}:{node.lineno}", node.value


def said(package: Path) -> list[tuple[str, str]]:
    return [(where, text) for where, text in texts(package) if " " in text.strip() and "\n" not in text]


@pytest.mark.parametrize(
    "package", [yolo_crds, yolo_operator, yolo_trainer], ids=lambda package: package.__name__
)
def test_no_sentence_of_the_other_parts_leaks_the_words_of_the_other_door(package: object) -> None:
    folder = Path(next(iter(package.__path__)))  # type: ignore[attr-defined]
    sentences = said(folder)
    assert len(sentences) > 50
    leaks = [
        f"{where}: {text!r} -> {told!r}"
        for where, text in sentences
        if LEAK.search(told := to_rest_words(text)) or LEAK.search(to_rest_words(text, ended=False))
    ]
    assert leaks == []


def test_no_sentence_of_the_facade_itself_leaks() -> None:
    sentences = said(Path(next(iter(yolo_api.__path__))))
    assert [f"{where}: {text!r}" for where, text in sentences if LEAK.search(text)] == []


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.PENDING])
def test_no_hint_leaks_through_the_status(reason: Reason, phase: Phase) -> None:
    failure = {"reason": reason.value, "message": "why", "hint": HINTS.get(reason, "")}
    warning = "set spec.template.resources.memory"
    body = {
        "metadata": {"annotations": {"yolo.training/warnings": f'["{warning}"]'}},
        "spec": {"template": {"epochs": 1}},
        "status": {"run": 1, "phase": phase.value, "failure": failure, "warnings": [warning]},
    }
    view = to_view(body)
    assert view["message"].startswith("why")
    assert not LEAK.search(view["message"]), view["message"]
    assert view["warnings"] == ["set memory"]


@pytest.mark.parametrize("reason", list(HINTS))
def test_no_hint_says_a_thing_twice_or_speaks_of_an_object(reason: Reason) -> None:
    told = to_rest_words(HINTS[reason])
    assert told.count("continue_train") <= 1, told
    assert "the object" not in told


def test_no_refusal_of_an_argument_leaks() -> None:
    names = {*load_schema().arguments, *Template.model_fields, "unknown"}
    problems = [
        *check_extra_args(dict.fromkeys(names, "x")),
        *check_hyperparameters(dict.fromkeys(names, -9.0)),
    ]
    assert len(problems) > 100
    for problem in problems:
        assert not LEAK.search(to_key(problem.field)), problem
        assert not LEAK.search(to_rest_words(problem.message)), problem


def test_every_field_is_told_by_its_key() -> None:
    for path in FIELDS.keys() - WITHOUT_KEY:
        dotted = ".".join(path)
        for name in (f"spec.{dotted}", dotted) if len(path) > 1 else (f"spec.{dotted}",):
            assert to_rest_words(f"set {name}, please") == f"set {KEYS[path]}, please"
        assert to_key(f"spec.{dotted}") == KEYS[path]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("raise spec.run", "start it again with continue_train"),
        ("then raise spec.run with spec.resume (x)", "then start it again with continue_train (x)"),
        (
            "to go on set spec.stop: false, spec.resume: true and spec.run: 3",
            "to go on start it again with continue_train",
        ),
        ("set spec.resume: true and spec.run: 12", "set continue_train: true"),
        (f"then {GO_ON}", "then start it again with continue_train to go on from what is saved"),
        ("lower batch or imgsz", "lower batch_size or imgsz"),
        ("raise spec.template.resources.memory", "raise memory"),
        ("template.hyperparameters.lr0: too large", "hyp_dict.lr0: too large"),
        ("template.data.train: 'a b/template.yaml' is gone", "train_ucd: 'a b/template.yaml' is gone"),
        ("there is no 'spec.run' and no \"kubectl\"", "there is no 'spec.run' and no \"kubectl\""),
        ("the node's sharedMemory and its pod's", "the node's shared_memory and its pod's"),
        ("spec.nodeName of the pod", "nodeName of the pod"),
        ("see kubectl describe job", "see the cluster's description of the job"),
        ("special templates, resources and data.yaml", "special templates, resources and data.yaml"),
    ],
)
def test_to_rest_words(text: str, want: str) -> None:
    assert to_rest_words(text) == want


def test_to_rest_words_terminates_first_what_runs() -> None:
    want = "terminate it and start it again with continue_train"
    assert to_rest_words("raise spec.run", ended=False) == want
