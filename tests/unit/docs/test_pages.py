"""Which blocks of the documentation are run, and the runner that types them."""

import os
import re
from pathlib import Path

import pytest

from demo.install import CHART, ROOT
from pages import PageError, adapt, matches, read_assignments, read_blocks, run_page

TYPED = ["install.md", "air-gap.md", "teams.md", "metrics.md", "operations.md"]
"""Pages that tests/e2e/test_docs.py types."""
SHOWN_ONLY = {
    "README.md": "docs/install.md in short, and `make demo`, whose steps the end-to-end tests take",
    "docs/data.md": "a Dockerfile and a layout; its commands are in operations.md",
    "docs/gpus.md": "asks for GPUs; tests/e2e/test_gpu*.py do so by other ways",
    "docs/local-cluster.md": "a picture; its commands are those of tests/e2e/test_cluster_*.py",
    "charts/yolo-operator/README.md": "docs/install.md in short, and values for other clusters",
}
"""Pages whose shell blocks nobody types, and why."""
MARKS = re.compile(r"yours|run|shows|not run: \S+( \S+){3,}")


def test_every_page_with_shell_blocks_is_typed_or_has_a_reason() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", CHART / "README.md"]
    with_shell = {
        str(page.relative_to(ROOT))
        for page in pages
        if any(block.is_shell for block in read_blocks(page.read_text(encoding="utf-8")))
    }
    assert with_shell == {*(f"docs/{page}" for page in TYPED), *SHOWN_ONLY}


@pytest.mark.parametrize("page", TYPED)
def test_every_shell_block_is_run_or_says_why_not(page: str) -> None:
    blocks = read_blocks((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert [block.line for block in blocks if block.is_shell and not MARKS.fullmatch(block.mark)] == []
    assert [block.line for block in blocks if block.mark and not MARKS.fullmatch(block.mark)] == []
    assert [block.line for block in blocks if block.mark == "run" and block.language != "sh"] == []
    assert any(block.mark == "run" for block in blocks)
    for before, block in zip([None, *blocks], blocks, strict=False):
        assert block.mark != "shows" or (before is not None and before.mark == "run"), block.line


@pytest.mark.parametrize("page", TYPED)
def test_every_mark_belongs_to_a_block(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    marks = [line for line in text.splitlines() if line.startswith("<!--")]
    blocks = [block for block in read_blocks(text) if block.mark]
    assert len(marks) == len(blocks)


@pytest.mark.parametrize("page", [*(f"docs/{name}" for name in TYPED), "README.md"])
def test_links_lead_to_headings_that_are_there(page: str) -> None:
    path = ROOT / page
    for target, anchor in re.findall(r"\]\(([^):#]*)(#[^)]+)?\)", path.read_text(encoding="utf-8")):
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor[1:] in slugs, f"{target}{anchor}"


PAGE = """
<!-- yours -->
```sh
WHO=world   # you
```

<!-- run -->
```sh
echo "hello $WHO"
```

<!-- shows -->
```text
hello   world
```
<!-- happens: echo lost -->

```sh
exit 1
```
"""


def test_read_blocks_takes_the_line_above() -> None:
    blocks = read_blocks(PAGE)
    assert [(block.line, block.mark) for block in blocks] == [
        (3, "yours"),
        (8, "run"),
        (13, "shows"),
        (16, "run"),
        (18, ""),
    ]
    assert [block.text for block in blocks[1:]] == [
        'echo "hello $WHO"',
        "hello   world",
        "echo lost",
        "exit 1",
    ]
    assert read_assignments(blocks[0]) == {"WHO": "world"}


def _type(tmp_path: Path, text: str, **values: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    run_page(page, tmp_path, os.environ, values, seconds=20)


def test_run_page_types_what_is_marked(tmp_path: Path) -> None:
    _type(tmp_path, PAGE)
    _type(tmp_path, PAGE, WHO="reader")


def test_run_page_keeps_the_shell_and_ends_what_it_left(tmp_path: Path) -> None:
    text = "<!-- run -->\n```sh\nA=1\nsleep 100 &\ncd /\n```\n<!-- run -->\n```sh\necho $A $PWD\n```\n"
    _type(tmp_path, text + "<!-- shows -->\n```text\n1 /\n```\n")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("echo hi; false; echo no", ["page.md:2 ended with 1", "hi"]),
        ("true | false | true", ["page.md:2 ended with 1"]),
        ("echo $UNSET_NAME", ["UNSET_NAME"]),
        ("echo oops >&2; exit 3", ["ended with 3", "oops"]),
    ],
)
def test_run_page_tells_the_block_that_failed(tmp_path: Path, block: str, words: list[str]) -> None:
    text = f"<!-- run -->\n```sh\n{block}\n```\n<!-- run -->\n```sh\necho next\n```\n"
    with pytest.raises(PageError) as told:
        _type(tmp_path, text)
    assert [word for word in words if word not in str(told.value)] == []


def test_run_page_tells_what_was_shown_instead(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"(?s)page.md:6 shows.a.*line 2 printed.b"):
        _type(tmp_path, "<!-- run -->\n```sh\necho b\n```\n<!-- shows -->\n```text\na\n```\n")


def test_run_page_ends_at_its_time(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- run -->\n```sh\nsleep 100\n```\n", encoding="utf-8")
    with pytest.raises(PageError, match="nothing after 0 s"):
        run_page(page, tmp_path, os.environ, {}, seconds=0.2)


@pytest.mark.parametrize(
    ("shown", "printed", "want"),
    [
        ("a  b\nc", "a b   \nc\n", True),
        ("a … c", "a long way to c", True),
        ("a\n…", "a\nb\nc", True),
        ("a", "a\nb", False),
        ("a.c", "abc", False),
        ("a …", "b", False),
    ],
)
def test_matches(shown: str, printed: str, want: bool) -> None:
    assert matches(shown, printed) is want


def test_adapt_replaces_whole_values() -> None:
    page = "<!-- yours -->\n```sh\nCPU=8\nTAG=0.1.0\n```\n"
    assert adapt("8 18 8x a:0.1.0", page, {"CPU": "2", "TAG": "docs"}) == "2 18 8x a:docs"
