"""Who asks: bearer tokens, by name; compared in constant time, and never written anywhere."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import InputError
from curate.serving.errors import Refused
from curate.settings.serve import ServeSettings

ANONYMOUS = "-"
"""Stands in for a token's name where none is wanted."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """Digests of the tokens by their names; with none, everybody is let in as ANONYMOUS."""

    digests: Mapping[str, bytes]

    def name_of(self, authorization: str | None) -> str:
        """Whose the token in an `Authorization` header is.

        Raises:
            Refused: 401, no token or a wrong one.
        """
        if not self.digests:
            return ANONYMOUS
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "missing_token", "send a token: Authorization: Bearer TOKEN")
        given = _digest(token.strip())
        # All are compared, whichever it is: time tells nothing of them.
        found = [name for name, digest in self.digests.items() if hmac.compare_digest(digest, given)]
        if not found:
            raise Refused(401, "wrong_token", "this token is not known here")
        return found[0]


def read_tokens(settings: ServeSettings) -> Tokens:
    """The tokens of `serve.tokens`, else of the environment.

    Raises:
        InputError: a line is wrong; or there is no token, and not only this machine can reach the service.
    """
    where, text = _text(settings)
    digests: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, token = _parsed(f"{where}, line {number}", line)
        if name in digests:
            raise InputError(f"{where}, line {number}: the name {name} is there twice")
        digests[name] = _digest(token)
    if settings.tokens is not None and not digests:
        raise InputError(f'{where}: holds no token; write a line "NAME TOKEN" for each client')
    if not digests and not is_own(settings):
        raise InputError(
            f"serve.host={settings.host}: others can reach it, so that tokens are needed: serve.tokens=FILE, or "
            f'{settings.tokens_env} in the environment, with lines "NAME TOKEN"'
        )
    return Tokens(digests)


def is_own(settings: ServeSettings) -> bool:
    """Whether only this machine can reach the service."""
    if settings.socket is not None or settings.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return False


def _text(settings: ServeSettings) -> tuple[str, str]:
    if settings.tokens is None:
        return settings.tokens_env, os.environ.get(settings.tokens_env, "")
    try:
        return f"serve.tokens={settings.tokens}", Path(settings.tokens).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"serve.tokens={settings.tokens}: cannot be read") from error


def _parsed(where: str, line: str) -> tuple[str, str]:
    name, _, token = line.strip().partition(" ")
    token = token.strip()
    if not _NAME.fullmatch(name) or not token or " " in token:
        raise InputError(f'{where}: is not written "NAME TOKEN"')
    if len(token) < _SHORTEST:
        raise InputError(f"{where}: the token of {name} has fewer than {_SHORTEST} characters; take a random one")
    return name, token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
