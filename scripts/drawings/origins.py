"""Where each source's drawings come from, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all drawings of one source share. `url` is a package URL; the drawing's path follows after "#"."""

    name: str
    style: str
    license: str
    license_url: str
    page: str
    url: str


_APACHE = ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_BY = ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")
_BY_SA = ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/")
_ISC = ("ISC", "https://opensource.org/license/isc-license-txt")
_MIT = ("MIT", "https://opensource.org/license/mit")


def _icons(title: str, prefix: str, version: str, style: str, terms: tuple[str, str], page: str) -> Origin:
    return Origin(
        name=f"{title}, npm package @iconify-json/{prefix} {version}",
        style=style,
        license=terms[0],
        license_url=terms[1],
        page=page,
        url=f"pkg:npm/%40iconify-json/{prefix}@{version}#icons.json/",
    )


ORIGINS = {
    "openclipart": Origin(
        name="Open Clip Art Library 0.18, Debian package openclipart-svg 1:0.18+dfsg-19",
        style="clip art",
        license="Public domain",
        license_url="https://creativecommons.org/licenses/publicdomain/",
        page="https://openclipart.org/",
        url="pkg:deb/debian/openclipart-svg@1:0.18%2Bdfsg-19#usr/share/openclipart/svg/",
    ),
    "openmoji": Origin(
        name="OpenMoji 17.0.0",
        style="emoji drawing",
        license="CC-BY-SA-4.0",
        license_url="https://creativecommons.org/licenses/by-sa/4.0/",
        page="https://openmoji.org/",
        url="pkg:npm/openmoji@17.0.0#",
    ),
    "fluent-emoji-3d": Origin(
        name="Fluent Emoji, npm package @lobehub/fluent-emoji-3d 1.1.0",
        style="3D emoji",
        license=_MIT[0],
        license_url=_MIT[1],
        page="https://github.com/lobehub/fluent-emoji",
        url="pkg:npm/%40lobehub/fluent-emoji-3d@1.1.0#",
    ),
    "game-icons": _icons(
        "Game-icons.net",
        "game-icons",
        "1.2.4",
        "silhouette",
        ("CC-BY-3.0", "https://creativecommons.org/licenses/by/3.0/"),
        "https://game-icons.net/",
    ),
    "noto": _icons("Noto Emoji", "noto", "1.2.9", "shaded emoji", _APACHE, "https://github.com/googlefonts/noto-emoji"),
    "twemoji": _icons("Twemoji", "twemoji", "1.2.5", "flat emoji", _BY, "https://github.com/jdecked/twemoji"),
    "fluent-emoji-flat": _icons(
        "Fluent Emoji",
        "fluent-emoji-flat",
        "1.2.6",
        "flat emoji",
        _MIT,
        "https://github.com/microsoft/fluentui-emoji",
    ),
    "emojione": _icons("Emoji One 2", "emojione", "1.2.3", "flat emoji", _BY, "https://github.com/EmojiTwo/emojitwo"),
    "fxemoji": _icons("FxEmojis", "fxemoji", "1.2.2", "flat emoji", _APACHE, "https://github.com/mozilla/fxemoji"),
    "mdi": _icons(
        "Material Design Icons", "mdi", "1.2.3", "glyph", _APACHE, "https://github.com/Templarian/MaterialDesign"
    ),
    "fa6-solid": _icons(
        "Font Awesome 6 Free Solid",
        "fa6-solid",
        "1.2.4",
        "glyph",
        _BY,
        "https://github.com/FortAwesome/Font-Awesome",
    ),
    "noto-v1": _icons(
        "Noto Emoji, first edition",
        "noto-v1",
        "1.2.5",
        "flat emoji",
        _APACHE,
        "https://github.com/googlefonts/noto-emoji",
    ),
    "emojione-v1": _icons(
        "Emoji One 1", "emojione-v1", "1.2.3", "flat emoji", _BY_SA, "https://github.com/joypixels/emojione-legacy"
    ),
    "emojione-monotone": _icons(
        "Emoji One 2, one colour",
        "emojione-monotone",
        "1.2.1",
        "one-colour emoji",
        _BY,
        "https://github.com/EmojiTwo/emojitwo",
    ),
    "fluent-emoji-high-contrast": _icons(
        "Fluent Emoji, high contrast",
        "fluent-emoji-high-contrast",
        "1.2.6",
        "one-colour emoji",
        _MIT,
        "https://github.com/microsoft/fluentui-emoji",
    ),
    "streamline-emojis": _icons(
        "Streamline Emojis",
        "streamline-emojis",
        "1.2.4",
        "flat emoji",
        _BY,
        "https://github.com/webalys-hq/streamline-vectors",
    ),
    "icon-park": _icons(
        "IconPark", "icon-park", "1.2.4", "coloured icon", _APACHE, "https://github.com/bytedance/IconPark"
    ),
    "ph": _icons("Phosphor Icons", "ph", "1.2.2", "glyph", _MIT, "https://github.com/phosphor-icons/core"),
    "tabler": _icons("Tabler Icons", "tabler", "1.2.41", "line icon", _MIT, "https://github.com/tabler/tabler-icons"),
    "hugeicons": _icons("Hugeicons", "hugeicons", "1.2.35", "line icon", _MIT, "https://hugeicons.com/"),
    "carbon": _icons(
        "Carbon Icons", "carbon", "1.2.29", "glyph", _APACHE, "https://github.com/carbon-design-system/carbon"
    ),
    "healthicons": _icons(
        "Health Icons", "healthicons", "1.2.13", "glyph", _MIT, "https://github.com/resolvetosavelives/healthicons"
    ),
    "material-symbols": _icons(
        "Material Symbols",
        "material-symbols",
        "1.2.98",
        "glyph",
        _APACHE,
        "https://github.com/google/material-design-icons",
    ),
    "lucide": _icons("Lucide", "lucide", "1.2.137", "line icon", _ISC, "https://github.com/lucide-icons/lucide"),
    "mingcute": _icons(
        "MingCute Icon", "mingcute", "1.2.8", "glyph", _APACHE, "https://github.com/Richard9394/MingCute"
    ),
    "la": _icons("Line Awesome", "la", "1.2.1", "glyph", _APACHE, "https://github.com/icons8/line-awesome"),
    "streamline": _icons(
        "Streamline", "streamline", "1.2.5", "line icon", _BY, "https://github.com/webalys-hq/streamline-vectors"
    ),
    "mynaui": _icons(
        "Mynaui Icons", "mynaui", "1.2.19", "line icon", _MIT, "https://github.com/praveenjuge/mynaui-icons"
    ),
    "ion": _icons("Ionicons", "ion", "1.2.7", "glyph", _MIT, "https://github.com/ionic-team/ionicons"),
}
