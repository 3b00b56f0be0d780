"""The policies that a service judges under: those it was started with, and where allowed, a request's own text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from curate.core.errors import InputError
from curate.core.types import Question
from curate.judges.prompts import policy_hash, question_for
from curate.judges.row_policies import policy_name
from curate.policies.policy import Policy
from curate.policies.prompt_import import parse_policy_text
from curate.serving.errors import Refused
from curate.settings.model import ModelSettings
from curate.settings.serve import ServeSettings

RATIONALES = ("all", "unsafe", "none")
OWN = "own"
"""Stands in for the name of a request's own policy where names are counted."""

_REMEMBERED = 64
_LONGEST = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPolicy:
    """A policy, the hash of its prompt, and whether a request brought it."""

    policy: Policy
    hash: str
    own: bool = False

    @property
    def counted_as(self) -> str:
        """Its name, of which there are few."""
        return OWN if self.own else self.policy.name


class ServedPolicies:
    """Finds what a request is judged under.

    Args:
        policies: the first is that of requests that name none.
        model: what bounds a rationale.
        settings: whether requests may bring their own.
    """

    def __init__(self, policies: Sequence[Policy], model: ModelSettings, settings: ServeSettings) -> None:
        self._named = {policy.name: ServedPolicy(policy=policy, hash=policy_hash(policy)) for policy in policies}
        self._model = model
        self._settings = settings
        self._own: OrderedDict[str, ServedPolicy] = OrderedDict()

    @property
    def named(self) -> Sequence[ServedPolicy]:
        """Those that the service was started with."""
        return list(self._named.values())

    def find(self, asked: str | None) -> ServedPolicy:
        """The policy of a name, or of a whole text.

        Raises:
            Refused: 400, there is none, the text is no policy, or none may be brought.
        """
        if asked is None or not asked.strip():
            return next(iter(self._named.values()))
        if "\n" in asked.strip():
            return self._of_text(asked)
        if asked not in self._named:
            known = ", ".join(self._named)
            raise Refused(400, "unknown_policy", f"policy: there is none {asked!r:.80}; choose {known}", param="policy")
        return self._named[asked]

    def question(self, served: ServedPolicy, rationale: str | None) -> Question:
        """What is asked under it.

        Raises:
            Refused: 400, there is no such mode of the rationale.
        """
        mode = rationale or self._settings.rationale
        if mode not in RATIONALES:
            message = f"rationale: is true, false, or one of {', '.join(RATIONALES)}"
            raise Refused(400, "invalid_value", message, param="rationale")
        model = self._model
        return question_for(
            served.policy,
            mode,
            model.rationale_above,
            model.rationale_chars,
            category_scores=model.category_scores,
        )

    def _of_text(self, text: str) -> ServedPolicy:
        if not self._settings.own_policies:
            message = "policy: name one; its text is taken only where the service has serve.own_policies=true"
            raise Refused(400, "own_policies_not_allowed", message, param="policy")
        if len(text) > _LONGEST:
            raise Refused(400, "invalid_policy", f"policy: has more than {_LONGEST} characters", param="policy")
        if text in self._own:
            self._own.move_to_end(text)
            return self._own[text]
        try:
            policy = parse_policy_text(text, policy_name(text) or OWN)
            served = ServedPolicy(policy=policy, hash=policy_hash(policy), own=True)
        except InputError as error:
            raise Refused(400, "invalid_policy", str(error)[:500], param="policy") from error
        self._own[text] = served
        if len(self._own) > _REMEMBERED:
            self._own.popitem(last=False)
        return served
