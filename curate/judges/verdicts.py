r"""Answers: the layout models are trained to write, the grammar that holds them to it, and how it is parsed.

The layout is what `json.dumps(..., indent=4)` makes of `rating`, `category` and, where there is one, `rationale`:
ANSWER_PREFIX, the rating, RATING_SUFFIX, and what `continuation_regex` describes.

How long a rationale may be is bounded twice, since a bound on characters is what grammar engines are worst at. With
151,000 tokens xgrammar 0.2.8 takes 7 to 10 seconds on one core to compile `[^"\\]{1,600}`, and vLLM gives up after 5;
with escapes as an alternative in the repeat it takes over 0.1 s for the mask of every token. Therefore the grammar
counts full stops, which few tokens hold: under 0.1 s to compile and 0.04 to 1 ms a mask, whatever the bound. A sentence
without an end is stopped by `max_answer_tokens`; `close_answer` completes what was cut, and `parse_answer` holds to the
characters.
"""

from __future__ import annotations

import json
import re
from typing import Any

from curate.core.errors import InvalidOutput
from curate.core.types import Question, Rating, Verdict

ANSWER_PREFIX = '{\n    "rating": "'
"""Every answer begins with it; the next token is the rating."""

RATING_SUFFIX = '",\n    "category": "'
"""What stands between the rating and the category."""

_RATIONALE = '",\n    "rationale": "'
_END = '"\n}'

# A character of a sentence: any but full stop, quote, backslash and control characters, or an escape. \\u is left out,
# for half a surrogate pair is no character.
_SENTENCE_CHARACTER = r'(?:[^."\\\x00-\x1f]|\\["\\/nrt])'
# A short sentence; so that abbreviations and figures, which have full stops too, do not end a rationale early.
_CHARACTERS_A_SENTENCE = 40
# Prose has more than four characters a token, so that its bound is reached well before this runs out.
_CHARACTERS_A_TOKEN = 2
_CLOSING_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\$")
# For every token of the layout around the names, generously.
_LAYOUT_TOKENS = 64


def format_answer(rating: Rating, category: str, rationale: str | None) -> str:
    """A whole answer in the trained layout; `category` is "CODE: name", and without a rationale its key is left out."""
    fields = {"rating": rating.value, "category": category} | ({"rationale": rationale} if rationale else {})
    return json.dumps(fields, indent=4, ensure_ascii=False)


def fit_rationale(text: str, characters: int) -> str:
    """`text` on one line, as far as the grammar lets a model write it; cut behind a sentence, or else behind a word."""
    line = " ".join("".join(" " if c < " " else c for c in text).split())
    fitting = re.match(_rationale_regex(characters), json_text(line))
    allowed = min(characters, len(json.loads(f'"{fitting[0]}"'))) if fitting else 0
    if allowed == len(line):
        return line
    beginning = line[:allowed]
    sentence = re.match(r".*[.!?](?= |$)", beginning)
    return sentence[0] if sentence else beginning.rpartition(" ")[0] or beginning


def possible_ratings(question: Question) -> tuple[Rating, ...]:
    """The ratings that have a category to go with; a question that leaves one alone has its rating given."""
    return tuple(r for r in Rating if _categories(question, r))


def continuation_regex(question: Question, rating: Rating, with_rationale: bool) -> str:
    """Regex of what follows ANSWER_PREFIX, `rating` and RATING_SUFFIX, up to and with the closing brace.

    An Unsafe answer names a category that the policy enforces, a Safe one any of its categories. The regex keeps to
    what Python, xgrammar and other engines read alike.
    """
    names = "|".join(_literal(json_text(c)) for c in _categories(question, rating))
    rationale = f"{_literal(_RATIONALE)}{_rationale_regex(question.rationale_chars)}" if with_rationale else ""
    return f"(?:{names}){rationale}{_literal(_END)}"


def answer_regex(question: Question) -> str:
    """Regex of what follows ANSWER_PREFIX, for engines that answer in one pass.

    With the mode "unsafe", a Safe answer has no rationale here: p_unsafe is not known before the answer ends.
    """
    branches = (
        _literal(f"{r}{RATING_SUFFIX}") + continuation_regex(question, r, has_rationale(question, r))
        for r in possible_ratings(question)
    )
    return f"(?:{'|'.join(branches)})"


def answer_schema(question: Question) -> dict[str, Any]:
    """JSON schema of a whole answer, for servers that take nothing else."""
    return {"anyOf": [_branch_schema(question, r) for r in possible_ratings(question)]}


def has_rationale(question: Question, rating: Rating, p_unsafe: float | None = None) -> bool:
    """Whether an answer of `rating` goes on to a rationale; p_unsafe counts for Safe answers in the mode "unsafe"."""
    if question.rationale != "unsafe" or rating is Rating.UNSAFE:
        return question.rationale != "none"
    above = question.rationale_above
    return above is not None and p_unsafe is not None and p_unsafe > above


def max_answer_tokens(question: Question) -> int:
    """How many tokens an answer may take behind its prefix.

    A token is at least a byte, so that the layout and the longest category fit for certain. A rationale gets a token
    for every two characters of its bound. What takes more is no prose; it is cut and closed there (`close_answer`).
    """
    longest = max(len(json_text(c).encode()) for c in (*question.categories, *question.violable))
    rationale = 0 if question.rationale == "none" else -(-question.rationale_chars // _CHARACTERS_A_TOKEN)
    return _LAYOUT_TOKENS + longest + rationale


def close_answer(text: str) -> str:
    """`text`, completed if the token limit cut it in or behind its rationale; anything else is returned as it is."""
    _, opened, body = text.partition(_RATIONALE)
    if not opened:
        return text
    end = _CLOSING_QUOTE.search(body)
    if end:
        rest = body[end.end() - 1 :]
        return text + _END[len(rest) :] if _END.startswith(rest) else text
    # Nothing half: neither a character of several bytes nor an escape.
    whole = _HALF_ESCAPE.sub(r"\1", body.rstrip("\ufffd"))
    return text[: len(text) - len(body)] + whole + _END


def parse_answer(text: str, question: Question) -> Verdict:
    """The verdict in an answer, whatever its white space; a rationale beyond its bound is cut.

    Raises:
        InvalidOutput: no JSON object of exactly the expected keys, or a rating or category that the question does not
            have; one line.
    """
    fields = _object(text)
    _check_keys(fields, question)
    rating, category = _rating(fields["rating"]), fields["category"]
    if category not in _categories(question, rating):
        reason = "may not be named by an Unsafe answer" if category in question.categories else "is not in the policy"
        raise InvalidOutput(f"category {category!r:.80} {reason}")
    code, _, name = category.partition(": ")
    return Verdict(
        rating=rating, category=code, category_name=name, rationale=_rationale(fields.get("rationale"), question)
    )


def _categories(question: Question, rating: Rating) -> tuple[str, ...]:
    return question.violable if rating is Rating.UNSAFE else question.categories


def _object(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise InvalidOutput(f"no JSON: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise InvalidOutput(f"a JSON {type(fields).__name__} in place of an object")
    return fields


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidOutput("a key is there twice")
    return fields


def _check_keys(fields: dict[str, Any], question: Question) -> None:
    known = ["rating", "category"] if question.rationale == "none" else ["rating", "category", "rationale"]
    unsafe = fields.get("rating") == Rating.UNSAFE
    required = known if question.rationale == "all" or unsafe else known[:2]
    missing = [key for key in required if key not in fields]
    extra = [key for key in fields if key not in known]
    if missing or extra:
        parts = [f"{what} {', '.join(keys)}" for what, keys in (("missing", missing), ("unexpected", extra)) if keys]
        raise InvalidOutput(f"keys: {'; '.join(parts)!a:.200}")


def _rating(value: object) -> Rating:
    if not isinstance(value, str) or value not in set(Rating):
        raise InvalidOutput(f"rating {value!r:.80} is neither Safe nor Unsafe")
    return Rating(value)


def _rationale(value: object, question: Question) -> str | None:
    if value is None and question.rationale != "all":
        return None
    if not isinstance(value, str) or not value:
        raise InvalidOutput(f"rationale {value!a:.80} is no text")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise InvalidOutput("rationale holds half a surrogate pair")
    return value[: question.rationale_chars]


def _rationale_regex(characters: int) -> str:
    stops = -(-characters // _CHARACTERS_A_SENTENCE)
    return rf"{_SENTENCE_CHARACTER}+(?:\.{_SENTENCE_CHARACTER}*){{0,{stops}}}"


def _branch_schema(question: Question, rating: Rating) -> dict[str, Any]:
    categories = list(_categories(question, rating))
    properties: dict[str, Any] = {"rating": {"const": rating.value}, "category": {"enum": categories}}
    if has_rationale(question, rating):
        properties["rationale"] = {"type": "string", "minLength": 1, "maxLength": question.rationale_chars}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def json_text(text: str) -> str:
    """`text` as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _literal(text: str) -> str:
    """Regex of `text` itself. `re.escape` also escapes what needs none, which other engines refuse."""
    return re.sub(r"([\\.^$|?*+()\[\]{}])", r"\\\1", text)
