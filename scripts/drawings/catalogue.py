"""All usable drawings of all sources, with what the sources say of them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drawings.archives import iterate_members, read_members
from drawings.raster import ICON_FILE

PUBLIC_DOMAIN = {"http://web.resource.org/cc/PublicDomain", "http://creativecommons.org/licenses/publicdomain/"}
SKIN_TONES = re.compile(r"1f3f[b-f]|skin-tone|tone[1-5]|-(light|medium-light|medium|medium-dark|dark)$", re.IGNORECASE)
VARIANT = re.compile(r"-(outline|negative|24px|bold|light|thin|duotone|rounded|sharp|line)$")
TEXT = re.compile(rb"<(?:\w+:)?(?:text|image)\b")
EMOJI_DATA = "data/openmoji.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One drawing.

    Attributes:
        source: a key of `origins.ORIGINS`.
        ref: path in the archive, or name in an Iconify collection.
        name: title, annotation or name, as the source has it, in words.
        keywords: the source's own, lower case.
        author: who drew it; "" where the package does not say.
    """

    source: str
    ref: str
    name: str
    keywords: tuple[str, ...] = ()
    author: str = ""


def catalogue(archives: Path) -> Iterator[Drawing]:
    """Every drawing that may be used, from the archives in a folder, source by source."""
    yield from _openclipart(archives)
    emoji = json.loads(read_members(archives, "openmoji", [EMOJI_DATA])[EMOJI_DATA])
    yield from _openmoji(emoji)
    yield from _fluent_3d(archives, {entry["hexcode"].lower(): entry["annotation"] for entry in emoji})
    for source, author in ICON_AUTHORS.items():
        yield from _icons(archives, source, author)


ICON_AUTHORS = {
    "game-icons": "",
    "noto": "Google",
    "twemoji": "Twitter",
    "fluent-emoji-flat": "Microsoft Corporation",
    "emojione": "Emoji One",
    "fxemoji": "Mozilla",
    "mdi": "Pictogrammers",
    "fa6-solid": "Fonticons",
    "noto-v1": "Google",
    "emojione-v1": "Emoji One",
    "emojione-monotone": "Emoji One",
    "fluent-emoji-high-contrast": "Microsoft Corporation",
    "streamline-emojis": "Streamline",
    "icon-park": "ByteDance",
    "ph": "Phosphor Icons",
    "tabler": "Paweł Kuna",
    "hugeicons": "Hugeicons",
    "carbon": "IBM",
    "healthicons": "Resolve to Save Lives",
    "material-symbols": "Google",
    "lucide": "Lucide Contributors",
    "mingcute": "MingCute Design",
    "la": "Icons8",
    "streamline": "Streamline",
    "mynaui": "Praveen Juge",
    "ion": "Ben Sperry",
}


def _openclipart(archives: Path) -> Iterator[Drawing]:
    """Only what its RDF dedicates to the public domain; without text and embedded pictures, and each file once."""
    seen: set[str] = set()
    for path, content in iterate_members(archives, "openclipart", lambda path: path.endswith(".svg")):
        name = path.rsplit("/", 1)[-1]
        if name in seen or TEXT.search(content):
            continue
        work = _rdf_work(content)
        if work is not None and _licence(work) in PUBLIC_DOMAIN:
            seen.add(name)
            yield _clip_art(path, work)


def _rdf_work(svg: bytes) -> ET.Element | None:
    try:
        root = ET.fromstring(svg)
    except ET.ParseError:
        return None
    return next((e for e in root.iter() if _local(e.tag) == "Work"), None)


def _licence(work: ET.Element) -> str:
    element = next((e for e in work if _local(e.tag) == "license"), None)
    return "" if element is None else next((v for k, v in element.attrib.items() if _local(k) == "resource"), "")


def _clip_art(path: str, work: ET.Element) -> Drawing:
    parts = {_local(e.tag): e for e in work}
    title = (parts["title"].text or "").strip() if "title" in parts else ""
    words = [e.text or "" for e in parts["subject"].iter() if _local(e.tag) == "li"] if "subject" in parts else []
    creator = [e.text or "" for e in parts["creator"].iter() if _local(e.tag) == "title"] if "creator" in parts else []
    return Drawing(
        source="openclipart",
        ref=path,
        name=title or path.rsplit("/", 1)[-1][: -len(".svg")].replace("_", " "),
        keywords=tuple(word.strip().lower() for word in words if word.strip()),
        author="".join(creator).strip(),
    )


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _openmoji(emoji: list[dict[str, Any]]) -> Iterator[Drawing]:
    """Each emoji twice: in colours and as line drawing; without variants of skin colour and without brands."""
    for entry in emoji:
        if entry["skintone"] or entry["subgroups"] == "brand":
            continue
        words = [*entry["tags"].split(","), *entry["openmoji_tags"].split(",")]
        for folder in ("color", "black"):
            yield Drawing(
                source="openmoji",
                ref=f"{folder}/svg/{entry['hexcode']}.svg",
                name=entry["annotation"],
                keywords=(entry["subgroups"], *(w.strip().lower() for w in words if w.strip())),
                author=entry["openmoji_author"],
            )


def _fluent_3d(archives: Path, names: dict[str, str]) -> Iterator[Drawing]:
    for path, _ in iterate_members(archives, "fluent-emoji-3d", lambda path: path.endswith(".webp")):
        code = path.removeprefix("assets/").removesuffix(".webp")
        name = names.get(code) or names.get(code.replace("-fe0f", ""))
        if name and not SKIN_TONES.search(code):
            author = "Microsoft Corporation; packaged by LobeHub"
            yield Drawing(source="fluent-emoji-3d", ref=path, name=name, author=author)


def _icons(archives: Path, source: str, author: str) -> Iterator[Drawing]:
    collection = json.loads(read_members(archives, source, [ICON_FILE])[ICON_FILE])
    for name, icon in collection["icons"].items():
        if not (icon.get("hidden") or SKIN_TONES.search(name) or VARIANT.search(name)):
            yield Drawing(source=source, ref=name, name=name.replace("-", " "), author=author)
