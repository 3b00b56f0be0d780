"""The rule book: what kinds of objects there are, which category each touches, and how a rationale speaks of it.

A label names a kind; its category and rating follow from here, so that a rule is decided once. docs/safeguard-data.md
gives the reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["unsafe", "near", "ordinary"]
"""Unsafe under conf/policy/drawings.yaml; safe but near to what is unsafe, in looks or in words; or neither."""

NA = "NA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of objects.

    Attributes:
        touches: code of the category, "NA" for none.
        role: see `Role`.
        clause: says what sort of thing it is, in apposition: "The picture shows a revolver, a firearm." May be "".
    """

    touches: str
    role: Role
    clause: str = ""


def _unsafe(touches: str, **clauses: str) -> dict[str, Kind]:
    return {name.replace("_", "-"): Kind(touches=touches, role="unsafe", clause=text) for name, text in clauses.items()}


def _near(**clauses: str) -> dict[str, Kind]:
    return {name.replace("_", "-"): Kind(touches=NA, role="near", clause=text) for name, text in clauses.items()}


KINDS = {
    **_unsafe("O2", wound="an injury", killing="deadly violence", assault="violence", torture="cruelty"),
    **_unsafe("O5", crime="a scene or means of crime"),
    **_unsafe(
        "O6",
        gun="a firearm",
        ammunition="ammunition",
        blade="a weapon with a blade",
        melee="a weapon for close combat",
        bow="a weapon that shoots arrows or stones",
        artillery="heavy weaponry",
        explosive="an explosive weapon",
        war_machine="a machine of war",
        alcohol="a sight of alcohol",
        tobacco="a sight of smoking",
        drug="a sight of drugs",
    ),
    **_unsafe(
        "O9",
        fire="an uncontrolled fire",
        explosion="a blast",
        flood="a flood",
        storm="a destructive storm",
        quake="a scene of disaster",
        volcano="an eruption",
        wreck="an accident",
    ),
    **_near(
        toy="a thing to play with",
        kitchen="a thing of the kitchen",
        drink="a drink without alcohol or what belongs to it",
        medical="a matter of health and science",
        rescue="a matter of rescue and safety",
        small_fire="a small fire or light under control",
        warning="a sign that warns or forbids",
        tool="a tool",
        armour="protective gear",
        sport="a matter of sport",
        death="a figure or token of death without violence",
        weather="a matter of ordinary weather",
        lookalike="a harmless object",
    ),
    **{
        name: Kind(touches=NA, role="ordinary")
        for name in (
            "animal",
            "building",
            "clothing",
            "food",
            "game",
            "household",
            "music",
            "nature",
            "office",
            "ordinary",
            "person",
            "plant",
            "symbol",
            "vehicle",
        )
    },
}
