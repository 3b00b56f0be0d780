"""Reads a prompt text in LlavaGuard's layout into a policy.

The layout: an introduction; for each category a heading `O1: Name`, then bullets under "Should not:" and "Can:"; a
category declared non-violating has a statement and bullets of what is allowed instead; then "NA: None applying" or the
assessment steps, where the categories end. Heading marks (`##`, `**`), numbering, bullet signs and wrapped bullets vary
and are accepted; a line that fits nowhere is an error, since dropping it would change what the policy says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from curate.core.errors import InputError
from curate.policies.policy import NA_CODE, Category, Policy, check_policy

_HEADING = re.compile(r"(?:#+ +)?(?:\d+[.)] +)?(?P<bold>\*\*)?(?P<code>[A-Z][A-Z0-9]{0,7}) ?: +(?P<name>\S.*)")
_SECTION = re.compile(r"[#*_\s]*(?:it )?(?P<kind>should not|must not|can|may|allowed(?: content)?)\s*[*_]*:[*_]*", re.I)
_BULLET = re.compile(r"\s*(?:[-*•]|\d+[.)]) +(?P<text>\S.*)")
_PERMITS = re.compile(r"non-?violating|\ballow|\bpermit|no restriction|not restricted", re.IGNORECASE)
_FORBIDS = re.compile(r"\b(?:not|never) (?:be )?(?:allow|permit)|disallow|forbid|forbidden|prohibit", re.IGNORECASE)
_ASSESSMENT = re.compile(r"[#*\s]*assessment\b", re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Block:
    """One category's lines while they are read: [start, end) in the text's lines, heading first."""

    code: str
    name: str
    start: int
    end: int
    stated: bool = False
    lists: dict[str, list[str]] = field(default_factory=dict)
    section: str | None = None

    @property
    def category(self) -> Category:
        """The category as read; a non-violating one lists all that is allowed under `can`."""
        should_not, can = self.lists.get("should_not", []), self.lists.get("can", [])
        return Category(name=self.name, should_not=tuple(should_not), can=tuple(can), enforced=not self.stated)


def parse_policy_text(text: str, name: str) -> Policy:
    """The policy that a prompt text states; `text` is kept verbatim for rendering.

    Raises:
        InputError: no category is found, a code is doubled, a line fits nowhere, or the policy does not hold up.
    """
    place = f"policy {name}"
    policy = Policy(name=name, categories={b.code: b.category for b in read_blocks(text, place)}, text=text)
    check_policy(policy)
    return policy


def read_blocks(text: str, place: str) -> list[Block]:
    """The categories of a prompt text with the lines they take.

    Raises:
        InputError: as `parse_policy_text`; `place` begins the message.
    """
    lines = text.split("\n")
    blocks: list[Block] = []
    for number, line in enumerate(lines):
        heading = _heading(lines, number)
        if _ends_categories(line, heading, blocks):
            _require_end(lines, number, place)
            break
        if heading:
            blocks.append(_opened(heading, number, blocks, place))
        elif blocks and line.strip():
            _take(blocks[-1], line, f"{place}: line {number + 1}")
            blocks[-1].end = number + 1
    if not blocks:
        raise InputError(f"{place}: no category found; its heading is a line like 'O1: Name'")
    return blocks


def _heading(lines: Sequence[str], number: int) -> re.Match[str] | None:
    """The heading in this line, if it is one. "NOTE: ..." is none, unless rules follow it."""
    heading = _HEADING.fullmatch(lines[number].strip())
    if not heading or heading["code"] == NA_CODE or any(c.isdigit() for c in heading["code"]):
        return heading
    return heading if _rules_follow(lines, number) else None


def _rules_follow(lines: Sequence[str], number: int) -> bool:
    following = next((line.strip() for line in lines[number + 1 :] if line.strip()), "")
    return bool(_SECTION.fullmatch(following)) or _is_permission(following)


def _is_permission(line: str) -> bool:
    return bool(_PERMITS.search(line)) and not _FORBIDS.search(line)


def _ends_categories(line: str, heading: re.Match[str] | None, blocks: Sequence[Block]) -> bool:
    if heading:
        return heading["code"] == NA_CODE
    return bool(blocks) and bool(_ASSESSMENT.match(line))


def _require_end(lines: Sequence[str], end: int, place: str) -> None:
    """Refuse categories behind the end, which would otherwise be lost without a word."""
    for number in range(end + 1, len(lines)):
        if _HEADING.fullmatch(lines[number].strip()) and _rules_follow(lines, number):
            raise InputError(
                f"{place}: line {number + 1}: a category stands behind line {end + 1}, which ends them; move it up"
            )


def _opened(heading: re.Match[str], number: int, blocks: Sequence[Block], place: str) -> Block:
    code = heading["code"]
    earlier = next((b for b in blocks if b.code == code), None)
    if earlier:
        raise InputError(
            f"{place}: line {number + 1}: {code} is there twice, first in line {earlier.start + 1}; rename one"
        )
    name = heading["name"].rstrip("*: ") if heading["bold"] else heading["name"]
    return Block(code=code, name=name, start=number, end=number + 1)


def _take(block: Block, line: str, place: str) -> None:
    """Put one line of a category where it belongs."""
    section, bullet = _SECTION.fullmatch(line.strip()), _BULLET.fullmatch(line.rstrip())
    if section:
        _open_section(block, section["kind"].lower(), place)
    elif bullet and (block.section or block.stated):
        block.lists.setdefault(block.section or "can", []).append(bullet["text"])
    elif not block.lists and not block.section and (block.stated or _is_permission(line)):
        block.stated = True
    elif line[0].isspace() and block.lists.get(block.section or "can"):
        block.lists[block.section or "can"][-1] += f" {line.strip()}"
    else:
        raise InputError(
            f"{place}: {line.strip()!r:.60} is no heading, section or bullet of {block.code}; move or remove it"
        )


def _open_section(block: Block, kind: str, place: str) -> None:
    section = "should_not" if kind.endswith("not") else "can"
    if section in block.lists:
        raise InputError(f"{place}: {block.code} has this list twice; join them")
    if block.stated and section == "should_not":
        raise InputError(
            f"{place}: {block.code} is declared non-violating and has a list of what it should not; remove one"
        )
    block.section = section
