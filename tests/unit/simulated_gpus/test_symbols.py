"""The stub has every symbol of NVML that our code can make nvidia-ml-py look up."""

import ast
import ctypes
import inspect
import re
from pathlib import Path

import pynvml
import pytest

from cluster.paths import REPOSITORY
from simulated_gpus.library import SONAME, build_library

FUNCTIONS = {name: call for name, call in vars(pynvml).items() if inspect.isfunction(call)}


def _calls(source: str) -> set[str]:
    """nvidia-ml-py's functions that a source names, however it imports them."""
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {name for name in names if name in FUNCTIONS and name.startswith("nvml")}


def _symbols(function: str, seen: set[str]) -> set[str]:
    """What a function of nvidia-ml-py may look up in the library, by itself or by others that it calls."""
    if function in seen:
        return set()
    seen.add(function)
    source = inspect.getsource(inspect.unwrap(FUNCTIONS[function]))
    found = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source))
    for name in set(re.findall(r"\b(_?nvml\w+)\(", source)) & FUNCTIONS.keys():
        found |= _symbols(name, seen)
    return found


def _missing(functions: set[str]) -> dict[str, set[str]]:
    library = ctypes.CDLL(str(build_library() / SONAME))
    wanted = {function: _symbols(function, set()) for function in functions}
    lacking = {name: {each for each in found if not hasattr(library, each)} for name, found in wanted.items()}
    return {name: found for name, found in lacking.items() if found}


def test_the_stub_has_all_symbols_that_our_code_may_call() -> None:
    parts = [part for part in REPOSITORY.iterdir() if part.is_dir() and not part.name.startswith(".")]
    files = {path for part in parts for path in part.rglob("*.py")} - {Path(__file__)}
    sources = [text for path in files if "pynvml" in (text := path.read_text())]
    called = set().union(*map(_calls, sources))
    assert "nvmlDeviceGetMemoryInfo" in called
    assert _missing(called) == {}


@pytest.mark.parametrize("function", ["nvmlDeviceGetFanSpeed"])
def test_a_symbol_that_the_stub_lacks_is_found(function: str) -> None:
    source = f"from pynvml import {function}\n{function}(1)\n"
    assert _calls(source) == {function}
    assert _missing({function}) == {function: {function}}
