"""Pictures as PDF: a page each, with its outlines and texts, in the fonts that every program for PDF has."""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from .fonts import text_width
from .svg_elements import n
from .svg_painting import Text

if TYPE_CHECKING:
    from .svg_painting import Outline, Painted

# A longer side is said in larger units.
_LONGEST_SIDE = 14_400
# The places in the font Symbol, which every program has, too.
_SYMBOLS = dict(zip("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", range(65, 91), strict=True))
_SYMBOLS |= dict(zip("αβχδεφγηιϕκλμνοπθρστυϖωξψζ", range(97, 123), strict=True))
_SYMBOLS |= {
    "−": 45, "≅": 64, "≤": 163, "∞": 165, "↔": 171, "←": 172, "↑": 173, "→": 174, "↓": 175, "≥": 179, "∝": 181,
    "∂": 182, "≠": 185, "≡": 186, "≈": 187, "∅": 198, "∩": 199, "∪": 200, "⊂": 204, "∈": 206, "∉": 207, "∠": 208,
    "∇": 209, "∏": 213, "√": 214, "⋅": 215, "∧": 217, "∨": 218, "⇒": 222, "∑": 229, "∫": 242,
}  # fmt: skip
# Of characters that are in neither font: how many one font holds, and how wide most are, in thousandths of the size.
_MOST_OF_A_FONT, _USUAL_WIDTH = 250, 600


def pdf_of(pictures: Sequence[Painted]) -> bytes:
    """Return the PDF of pictures, a page each, the same in every process.

    Letters of other scripts are asked for by name, in whatever font the reader's program puts in the place of
    Helvetica: where that lacks them, they are not seen there, but can be searched for and copied.
    """
    fonts = _Fonts()
    drawn = ["\n".join(_content(picture, fonts)) for picture in pictures]
    # The catalog, the list of pages, then of each page itself and what is painted on it, then the fonts.
    names, described = fonts.described(first=3 + 2 * len(pictures))
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(pictures)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pictures)} >>".encode(),
    ]
    for number, (picture, content) in enumerate(zip(pictures, drawn, strict=True)):
        width, height = picture.width * picture.scale, picture.height * picture.scale
        units = max(1, math.ceil(max(width, height) / _LONGEST_SIDE))
        shrunk = picture.scale / units
        moved = f"{shrunk:.6f} 0 0 {shrunk:.6f} 0 0 cm\n" if shrunk != 1.0 else ""
        kept = zlib.compress((moved + content).encode("ascii"), 9)
        size, unit = f"{n(width / units)} {n(height / units)}", f" /UserUnit {units}" if units > 1 else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size}]{unit} /Contents {4 + 2 * number} 0 R "
            f"/Resources << /Font << {names} >> >> >>".encode(),
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(kept), kept),
        ]
    return _file([*objects, *(each.encode("ascii") for each in described)])


def _file(objects: list[bytes]) -> bytes:
    """Return numbered objects as a file, with the table of where they are."""
    parts, places, length = [b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n"], [], 15
    for number, each in enumerate(objects, start=1):
        places.append(length)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, each))
        length += len(parts[-1])
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, length))
    return b"".join(parts)


def _content(picture: Painted, fonts: _Fonts) -> Iterator[str]:
    """Yield what is to be painted, a mark a line: y goes upwards."""
    for group in picture.groups:
        for mark in group.marks:
            yield fonts.text(mark, picture.height) if isinstance(mark, Text) else _outline(mark, picture.height)


def _outline(mark: Outline, height: float) -> str:
    places = [f"{n(x)} {n(height - y)}" for x, y in mark.knots]
    curves = [f"{' '.join(places[i : i + 3])} c" for i in range(1, len(places) - 2, 3)]
    paint = {(True, True): "B", (True, False): "f", (False, True): "S"}.get((bool(mark.fill), bool(mark.stroke)), "n")
    dashes = f"[{mark.dashes.replace(',', ' ')}] 0 d"
    colours = [f"{_rgb(colour)} {operator} " for colour, operator in ((mark.fill, "rg"), (mark.stroke, "RG")) if colour]
    return f"{''.join(colours)}{n(mark.width)} w {dashes} {places[0]} m {' '.join(curves)} {paint}"


def _rgb(colour: str) -> str:
    return " ".join(f"{int(colour[i : i + 2], 16) / 255:.4g}" for i in (1, 3, 5))


class _Fonts:
    """Writes texts, and keeps what fonts they need.

    Texts are written in hexadecimal digits, so that no name is ever read as an operator.
    """

    def __init__(self) -> None:
        self._others: dict[tuple[bool, str], tuple[str, int]] = {}
        """Of a character, bold or not, that is in no font of these: the name of its font, and its place there."""

    def text(self, mark: Text, height: float) -> str:
        """Return what paints a text."""
        placed = [(*self._place(letter, mark.bold), letter) for letter in mark.said]
        width = sum(_width(letter, mark.bold) for letter in mark.said) * mark.size / 1000
        parts = [f"BT {_rgb(mark.colour)} rg 1 0 0 1 {n(mark.x - width * mark.before)} {n(height - mark.y)} Tm"]
        for name, letters in groupby(placed, key=lambda one: one[0]):
            parts.append(f"/{name} {n(mark.size)} Tf <{bytes(place for _, place, _ in letters).hex()}> Tj")
        return " ".join([*parts, "ET"])

    def _place(self, letter: str, bold: bool) -> tuple[str, int]:
        if letter in _SYMBOLS:
            return "S", _SYMBOLS[letter]
        if letter.isprintable() and (place := letter.encode("cp1252", "ignore")):
            return "B" if bold else "H", place[0]
        found = self._others.get((bold, letter))
        if found is None:
            before = sum(one == bold for one, _ in self._others)
            name = f"{'BX' if bold else 'HX'}{before // _MOST_OF_A_FONT}"
            found = self._others[bold, letter] = name, before % _MOST_OF_A_FONT + 1
        return found

    def described(self, first: int) -> tuple[str, list[str]]:
        """Return the fonts by name, and the objects that describe them, which are numbered from `first` on."""
        latin = "/Type /Font /Subtype /Type1 /BaseFont /Helvetica{} /Encoding /WinAnsiEncoding"
        objects = [f"<< {latin.format('')} >>", f"<< {latin.format('-Bold')} >>"]
        objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>")
        names = {"H": first, "B": first + 1, "S": first + 2}
        for name, members in groupby(sorted(self._others.items(), key=lambda one: one[1]), key=lambda one: one[1][0]):
            letters, number = [letter for (_, letter), _ in members], first + len(objects)
            names[name] = number
            objects += _other_font(letters, name.startswith("B"), number)
        return " ".join(f"/{name} {number} 0 R" for name, number in names.items()), objects


def _width(letter: str, bold: bool) -> float:
    """Return how wide a letter is, in thousandths of the size."""
    if letter in _SYMBOLS or letter.encode("cp1252", "ignore"):
        return text_width(letter, 1000.0, bold)
    if unicodedata.combining(letter):
        return 0
    return 1000 if unicodedata.east_asian_width(letter) in "WF" else _USUAL_WIDTH


def _other_font(letters: list[str], bold: bool, number: int) -> list[str]:
    """Return a font of letters by their names, which is object `number`, what it is like, and what its letters are."""
    name = f"/Helvetica{'-Bold' if bold else ''}"
    named = " ".join(f"/uni{ord(each):04X}" if ord(each) < 0x10000 else f"/u{ord(each):X}" for each in letters)
    widths = " ".join(n(_width(each, bold)) for each in letters)
    said = "\n".join(f"<{at:02x}> <{each.encode('utf-16-be').hex()}>" for at, each in enumerate(letters, start=1))
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Letters def /CMapType 2 def\n"
        f"1 begincodespacerange <00> <ff> endcodespacerange\n{_in_hundreds(said)}\n"
        "endcmap CMapName currentdict /CMap defineresource pop end end"
    )
    return [
        f"<< /Type /Font /Subtype /Type1 /BaseFont {name} /FirstChar 1 /LastChar {len(letters)} /Widths [{widths}] "
        f"/Encoding << /Type /Encoding /Differences [1 {named}] >> /FontDescriptor {number + 1} 0 R "
        f"/ToUnicode {number + 2} 0 R >>",
        f"<< /Type /FontDescriptor /FontName {name} /Flags 32 /FontBBox [-166 -225 1000 931] /ItalicAngle 0 "
        f"/Ascent 718 /Descent -207 /CapHeight 718 /StemV {140 if bold else 88} >>",
        f"<< /Length {len(cmap)} >>\nstream\n{cmap}\nendstream",
    ]


def _in_hundreds(lines: str) -> str:
    """Return lines of a table of letters in blocks, which may hold a hundred each."""
    each = lines.split("\n")
    blocks = [each[i : i + 100] for i in range(0, len(each), 100)]
    return "\n".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar" for block in blocks)
