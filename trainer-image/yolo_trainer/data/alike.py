"""Names that look alike: what was perhaps meant, and what is plainly the same name mistyped."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_SHORT = 5
"""Letters; of shorter names (`cat`, `car`, `boat`, `goat`) one that differs by a letter is another word."""


@lru_cache(8_192)
def plain(name: str) -> str:
    """A name without what people write now so, now so: case, hyphens, underscores, blanks, full-width forms
    and other variants of the same characters (Unicode's NFKC)."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold()) or name


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was perhaps meant; None when none looks like it."""
    by_plain: dict[str, str] = {}
    for one in known:
        by_plain.setdefault(plain(one), one)
    found = difflib.get_close_matches(plain(name), by_plain, n=1)
    return by_plain[found[0]] if found else None


def is_mistyped(one: str, other: str) -> bool:
    """Whether two names are plainly meant to be the same: equal but for `plain`, a plural's s or, from five
    letters on, one letter that is wrong, missing, too much or swapped with the next.

    Names that differ in their digits are different ones: `digit 3`, `digit 8`.
    """
    a, b = sorted((plain(one), plain(other)), key=len)
    if a == b or f"{a}s" == b:
        return True
    if len(a) < _SHORT or re.findall(r"\d", a) != re.findall(r"\d", b):
        return False
    return _differ_by_one(a, b)


def _differ_by_one(a: str, b: str) -> bool:
    """Whether one letter tells them apart, or two neighbours that changed places; `a` is not the longer."""
    if len(b) - len(a) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[start:] == b[start + 1 :]
    swapped = a[start + 1 : start + 2] + a[start : start + 1] + a[start + 2 :]
    return a[start + 1 :] == b[start + 1 :] or swapped == b[start:]
