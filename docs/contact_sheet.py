"""Draw docs/explanation/renditions.png: what every filter and every way to crop makes.

uv run python docs/contact_sheet.py [file]
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_service import lettering
from image_service.evidence import Evidence
from image_service.filters import FILTERS
from image_service.limits import Limits
from image_service.parameters import Source, Subject, parse, resolve
from image_service.renditions import render
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "data"
SHEET = ROOT / "docs" / "explanation" / "renditions.png"
LIMITS = Limits(max_pixels=10_000_000, max_output_pixels=10_000_000)
TILE, CAPTION, COLUMNS, LINES = 150, 40, 8, 3
CAT = "chelsea.png"
#: The cup in a wide frame of one colour: something to trim.
FRAMED = "coffee.png?crop=0.3,0.1,0.5,0.8&padding=90,40,20,160&bg=teal"
MARK = "0198c0de-0000-8000-8000-000000000000"
#: Where the face is, as inference would have said it.
FACES = Evidence(ready=True, faces=(Subject(0.35, 0.13, 0.19, 0.25, 0.2),), sequences={"faces": 1})

GEOMETRY: tuple[tuple[str, str], ...] = (
    (CAT, "w=140&h=140"),
    (CAT, "w=70&h=90&fit=outside"),
    (CAT, "w=140&h=140&fit=cover"),
    (CAT, "w=140&h=140&fit=contain&bg=gold"),
    (CAT, "w=140&h=140&fit=fill"),
    (CAT, "w=140&h=140&fit=contain&bg=auto"),
    (CAT, "w=140&h=140&fit=contain&bg=blur"),
    (CAT, "w=100&padding=10,20&bg=1e3a8a"),
    (CAT, "crop=0.25,0.1,0.5,0.6&w=140"),
    (CAT, "crop=200,60,180,180&w=140"),
    *((CAT, f"ar=1:1&w=140&gravity={each}") for each in ("west", "centre", "east")),
    *(("astronaut.png", f"ar=3:2&w=140&gravity={each}") for each in ("north", "south")),
    (CAT, "w=140&h=140&fit=contain&bg=teal&gravity=north"),
    (CAT, "crop=0,0,90,60&w=140&h=140&extend&gravity=southeast&bg=teal"),
    (CAT, "ar=1:2&h=140&gravity=0.3,0.4"),
    ("rocket.jpg", "ar=1:2&h=140"),
    ("rocket.jpg", "ar=1:2&h=140&gravity=smart"),
    ("astronaut.png", "ar=3:1&w=140"),
    ("astronaut.png", "ar=3:1&w=140&gravity=smart"),
    (CAT, "h=140&rotate=90"),
    (CAT, "w=140&rotate=20"),
    (CAT, "w=140&rotate=-20&bg=auto"),
    (CAT, "w=140&rotate=20&bg=blur"),
    (CAT, "w=140&flip"),
    (CAT, "w=140&flop"),
    (CAT, "w=140&round=24&bg=transparent"),
    (CAT, "w=140&h=140&fit=cover&circle"),
    (FRAMED, "w=140&h=140"),
    (FRAMED, "w=140&h=140&trim"),
    ("astronaut.png", "w=140&redact=faces"),
    ("astronaut.png", "w=140&redact=faces&redact_with=blur"),
    ("astronaut.png", "w=140&redact=faces&redact_with=fill"),
    (CAT, f"w=140&watermark={MARK}&watermark_opacity=0.9"),
    (CAT, f"w=140&watermark={MARK}&watermark_tile&watermark_scale=0.2"),
    (CAT, "w=140&text=Schöne+Katze"),
    (CAT, "w=140&text=A+label+that+wraps&text_size=22&text_position=northwest"),
    (CAT, "w=140&format=png&palette=6"),
)


def drawn(sample: str, query: str, others: Mapping[str, bytes]) -> Image.Image:
    """Return the rendition of a sample."""
    name, _, before = sample.partition("?")
    data = (SAMPLES / name).read_bytes()
    if before:
        buffer = io.BytesIO()
        drawn(name, before, others).save(buffer, "PNG")
        data = buffer.getvalue()
    with Image.open(io.BytesIO(data)) as opened:
        kind = Image.MIME[opened.format or ""]
        source = Source(media_type=kind, width=opened.width, height=opened.height)
    wanted = parse(query)
    if wanted is None:
        raise ValueError(f"{query!r} asks for nothing")
    evidence = FACES if sample == "astronaut.png" else Evidence(ready=True)
    made = render(data, resolve(wanted, source, evidence=evidence), LIMITS, others)
    return Image.open(io.BytesIO(made.data)).convert("RGBA")


def write(tiles: Sequence[tuple[Image.Image, str]], target: Path) -> None:
    """Write tiles, each with what is said below it, as one picture: JPEG, or PNG of few colours."""
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + CAPTION)), "#e5e7eb")
    draw, font = ImageDraw.Draw(sheet), lettering.font(10)
    for number, (tile, shown) in enumerate(tiles):
        left, top = number % COLUMNS * TILE, number // COLUMNS * (TILE + CAPTION)
        at = left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2
        sheet.paste(tile, at, tile)
        lines = "\n".join(_lines(shown, font))
        draw.multiline_text((left + 4, top + TILE + 2), lines, fill="black", font=font, spacing=1)
    if target.suffix == ".jpg":
        sheet.save(target, quality=82, optimize=True)
    else:
        few = sheet.quantize(256, kmeans=1)
        sheet.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(target, optimize=True)
    sys.stdout.write(f"wrote {target}: {len(tiles)} tiles, {target.stat().st_size // 1024} KiB\n")


def _lines(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Return the text in lines that are no wider than a tile, as many as there is room for."""
    lines = [""]
    for part in text.replace("&", "\0&").split("\0"):
        if lines[-1] and font.getlength(lines[-1] + part) > TILE - 8:
            lines.append("")
        lines[-1] += part
    return lines[:LINES]


def main() -> int:
    """Draw all tiles and write the sheet."""
    others = {MARK: (SAMPLES / "rocket.jpg").read_bytes()}
    wanted = [*GEOMETRY]
    wanted += [(CAT, f"w=140&{each.name}={each.example}") for each in FILTERS.values()]
    tiles = [
        (drawn(sample, query, others), query.replace(MARK, "…").removeprefix("w=140&"))
        for sample, query in wanted
    ]
    write(tiles, Path(sys.argv[1]) if len(sys.argv) > 1 else SHEET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
