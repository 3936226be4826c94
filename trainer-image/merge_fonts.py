"""One font for class names in any script: `merge_fonts.py BASE MORE TARGET`, run when the image is built.

Ultralytics draws a name with a single font file, without a fallback for what that file lacks. TARGET is BASE
with the characters that MORE has beyond it. Both must have outlines of TrueType and the same units per em.
"""

from __future__ import annotations

import sys
from typing import Any

from fontTools.ttLib import TTFont

FAMILY = "YOLO Trainer Unicode"
"""A name of its own, as the licences of Bitstream Vera and DejaVu ask of changed fonts."""
_NAMES = {1: FAMILY, 2: "Regular", 3: FAMILY, 4: FAMILY, 6: FAMILY.replace(" ", "")}
_LAYOUT = ("GSUB", "GPOS", "GDEF", "kern", "vhea", "vmtx")
"""Of BASE; they know its own glyphs only, and names in plots need neither ligatures nor vertical text."""


def merge(base: TTFont, more: TTFont) -> None:
    """Adds to `base` what `more` has beyond it. Raises ValueError when they do not fit each other."""
    scales = base["head"].unitsPerEm, more["head"].unitsPerEm
    if scales[0] != scales[1] or "glyf" not in base or "glyf" not in more:
        raise ValueError(f"want two fonts of TrueType outlines and one scale, not {scales} units per em")
    lacking = {code: name for code, name in more.getBestCmap().items() if code not in base.getBestCmap()}
    renamed = {name: f"more.{name}" for name in _with_parts(more, lacking.values())}
    base.setGlyphOrder([*base.getGlyphOrder(), *renamed.values()])
    for old, new in renamed.items():
        glyph = more["glyf"][old]
        glyph.removeHinting()  # its instructions call functions of the other font
        for part in glyph.components if glyph.isComposite() else ():
            part.glyphName = renamed[part.glyphName]
        base["glyf"].glyphs[new] = glyph
        base["hmtx"][new] = more["hmtx"][old]
    for table in base["cmap"].tables:
        if table.isUnicode():
            wide = table.format == 12
            table.cmap |= {code: renamed[name] for code, name in lacking.items() if wide or code < 0x10000}
    for tag in _LAYOUT:
        if tag in base:
            del base[tag]
    base["name"].names = []
    for number, text in _NAMES.items():
        base["name"].setName(text, number, 3, 1, 0x409)


def _with_parts(font: TTFont, names: Any) -> list[str]:
    """Glyph names, and those that they are composed of, each once and in a fixed order."""
    found: dict[str, None] = {}
    left = sorted(set(names), reverse=True)
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = None
        glyph = font["glyf"][name]
        if glyph.isComposite():
            left += [part.glyphName for part in glyph.components]
    return list(found)


def main() -> None:
    base_path, more_path, target = sys.argv[1:]
    base = TTFont(base_path, fontNumber=0, recalcTimestamp=False)
    merge(base, TTFont(more_path))
    base.save(target)


if __name__ == "__main__":
    main()
