"""Every setting with its default, type and sentence: for a terminal, and as docs/settings.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import yaml

from curate.core.closest_names import did_you_mean, nearest
from curate.core.errors import InputError
from curate.settings.catalogue import ALONE, MODELS, Setting, no_such_setting, of_type, settings, written_as
from curate.settings.config_groups import GROUPS, default_names, group_names, said_of, written
from curate.settings.tune import DataSettings

WIDTH = 100
_LONG = 80

_HEAD = """# Settings

Written by `python -m curate settings markdown=true > docs/settings.md`, from where the settings are defined.

Each is set with `NAME=VALUE`, whether or not a file of conf/ lists it ([configuration](configuration.md)). A default
holds where neither the chosen file nor the command line says otherwise; `run +dataset=NAME --cfg job` prints what a run
has. KEY stands for a name of your own: a category's code, a split, an argument that is passed on.
"""


def page() -> str:
    """All groups as Markdown."""
    return "\n".join([_HEAD, *(line for title in _titles() for line in _markdown(title))]).rstrip("\n") + "\n"


def listing(place: str | None = None) -> list[str]:
    """The settings at `place`, a group or a setting, for a terminal; all where it is None.

    Raises:
        InputError: there is no such group or setting.
    """
    if place is None:
        return [line for title in _titles() for line in [*_section(title), ""]][:-1]
    if place in MODELS:
        return [*_section(place), *(["", *_section(_DATA)] if place == "tune" else [])]
    found = [one for one in settings() if one.path == place or one.path.startswith(f"{place}.")]
    if found:
        return [line for one in found for line in [*_lines(one), *_in_files(one)]]
    if "." in place:
        raise InputError(no_such_setting(place, tuning=True))
    choices = f"give one of {', '.join((*MODELS, *ALONE))}, or a setting"
    raise InputError(f"{place}: there is no such group{did_you_mean([nearest(place, (*MODELS, *ALONE))])} {choices}")


_ALONE, _DATA = "alone", "tune data"


def _titles() -> tuple[str, ...]:
    return (*MODELS, _DATA, _ALONE)


def _of(title: str) -> list[Setting]:
    if title == _DATA:
        return list(of_type(DataSettings))
    names = ALONE if title == _ALONE else (title,)
    return [one for one in settings() if one.path.partition(".")[0] in names]


def _sentence(title: str) -> str:
    if title == _ALONE:
        return "Settings of no group."
    said = (DataSettings if title == _DATA else MODELS[title]).__doc__ or ""
    return " ".join(said.partition("\n\n")[0].split())


def _section(title: str) -> Iterator[str]:
    yield f"{title}: {_sentence(title)}" if title != _ALONE else _sentence(title)
    if title in GROUPS:
        for name in group_names(title):
            mark = "  (default)" if default_names().get(title) == name else ""
            yield from _wrapped(f"{said_of(title, name)}{mark}", f"  {written(title) + name:<27} ", " " * 30)
    for one in _of(title):
        yield from _lines(one)


def _lines(one: Setting) -> Iterator[str]:
    yield f"  {one.path}{'' if one.default is None else f'={_default(one)}'}"
    instead = "" if one.default is not None else f"; by default {one.instead}" if one.instead else "; no default"
    yield from _wrapped(f"{one.sentence} ({one.kind}{instead})", " " * 6, " " * 6)


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def _in_files(one: Setting) -> Iterator[str]:
    """What the files of its group say that differs from the default."""
    group = one.path.partition(".")[0]
    for name in group_names(group) if group in GROUPS else ():
        value = _said_in(group, name, one.path)
        if value not in (None, one.default):
            yield f"      {written(group)}{name} has {value}"


def _default(one: Setting) -> str:
    """The default, and that of the file which is chosen by default where it is another."""
    group = one.path.partition(".")[0]
    name = default_names().get(group)
    value = None if name is None or group == "policy" else _said_in(group, name, one.path)
    if value is None or value == one.default:
        return str(one.default)
    return f"{one.default}, in {name} {value if len(value) < _LONG else 'another'}"


def _said_in(group: str, name: str, path: str) -> str | None:
    value: Any = _file(group, name)
    for part in path.split(".")[1:]:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    said = written_as(value)
    return None if said is None or "${" in said or said == "???" else said


@cache
def _file(group: str, name: str) -> Any:
    from curate.core.package_files import conf_dir

    return yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8"))


def _markdown(title: str) -> Iterator[str]:
    yield f"## {'Settings of no group' if title == _ALONE else title}\n"
    if title != _ALONE:
        yield f"{_sentence(title)}\n"
    if title in GROUPS:
        rows = [(f"`{written(title)}{name}`", said_of(title, name)) for name in group_names(title)]
        yield from _table(("choice", "is"), rows)
    yield from _table(
        ("setting", "default", "type", "does"),
        [
            (f"`{o.path}`", (o.instead or "") if o.default is None else f"`{_default(o)}`", o.kind, o.sentence)
            for o in _of(title)
        ],
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    yield ""
