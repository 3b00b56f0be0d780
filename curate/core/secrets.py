"""What is secret in URLs, names and messages, and how it is masked: nothing else in the program decides that.

A URL is shown, planned and recorded without its password, signature or token: they grant access, they name nothing, and
another signature for the same object is to be the same shard. `remember` holds values that came by another way (an
option of a file system), so that a message of a library that repeats one can be cleared of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from urllib.parse import quote, unquote

MASK = "***"
"""Stands where a secret was."""

_REMEMBERED_FROM = 6
"""Characters. Shorter values stand in every other word, and guard nothing."""

_SCHEME = r"[A-Za-z][\w+.-]*://"
_WHOLE = re.compile(rf"(?:\w+::)*{_SCHEME}")
_URL = re.compile(rf"{_SCHEME}[^\s'\"<>`]*")
_PASSWORD = re.compile(r"://[^\s/?#]*:[^\s/?#]*@")
_LONE_TOKEN = re.compile(r"(https?://)[^\s/?#:@]+@")
_QUERY = re.compile(r"([?#])(.*?)(?=::|$)", re.DOTALL)
_PARAMETER = re.compile(r"(?<=[?&;])([\w.-]+)=([^\s&;'\"<>`]+)")
_OPTION = re.compile(r"(storage_options(?:\.[\w-]+)*\.([\w-]+)=)(\"[^\"]*\"|'[^']*'|\S*[^\s:,;.])")
_OPTIONS = re.compile(r"(storage_options(?:\.[\w-]+)*=)\{.*\}")
_ASSIGNMENT = re.compile(r"(?<![\w.?&;])([A-Za-z][\w-]*)=(\"[^\"]*\"|'[^']*'|[^\s;&|,)\]}]+)")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

_SECRET = frozenset(
    {"secret", "secrets", "password", "passwd", "passphrase", "pwd", "token", "credential", "credentials", "signature"}
    | {"sig", "hmac", "jwt", "sas", "bearer", "auth", "authorization", "apikey", "accesskey", "secretkey", "cookie"}
)
_KEYS_OF = frozenset(
    {"api", "access", "account", "secret", "private", "shared", "subscription", "master", "storage", "encryption"}
    | {"license", "service", "client", "signing", "app"}
)
# Of tokenizers and models, whose tokens are no secrets.
_TOKENS_OF = frozenset({"pad", "bos", "eos", "unk", "cls", "sep", "image", "video", "audio", "mask", "max", "num"})

_SIGNED_BY = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-obs-", "x-ms-", "x-bce-")
# Say nothing by themselves; beside a signature they are part of it.
_BESIDE_A_SIGNATURE = frozenset(
    {"expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "q-ak", "hash", "nonce"}
    | {"sv", "se", "st", "sr", "sp", "spr", "sip", "ss", "srt", "sdd", "si", "skoid", "sktid", "skt", "ske", "sks"}
    | {"skv", "saoid", "suoid", "scid", "ses", "exp", "expiry", "key", "user", "timestamp", "ts"}
)

_remembered: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Whether a setting, variable or parameter of this name holds a secret; `key` alone may be anything."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or (_TOKENS_OF & set(words[:-1]) and words[-1] == "token"):
        return False
    pairs = pairwise(words)
    return (
        bool(_SECRET & set(words))
        or any(second in ("key", "keys") and first in _KEYS_OF for first, second in pairs)
        or words == ["connection", "string"]
        or words == ["hdnts"]
    )


def masked_url(url: str) -> str:
    """`url` without password, signature and token, and `MASK` in their place; what is no URL stays as it is.

    The same for every signature of one object; masking twice changes nothing.
    """
    if "://" not in url or not _WHOLE.match(url) or not any(sign in url for sign in "@?#"):
        return url
    bare = _LONE_TOKEN.sub(rf"\1{MASK}@", _PASSWORD.sub(f"://{MASK}@", url))
    return _QUERY.sub(_masked_query, bare)


def without_secrets(text: str) -> str:
    """`text` for anybody's eyes: URLs as `masked_url` has them, `token=...` and remembered values masked."""
    known = _known(frozenset(_remembered))
    text = known.sub(MASK, text) if known else text
    if "=" not in text and "@" not in text:
        return text
    text = _URL.sub(lambda found: _masked_in_text(found[0]), text)
    text = _PARAMETER.sub(lambda found: _masked_value(found, found[1]), text)
    text = _OPTION.sub(lambda found: found[0] if _is_harmless(found[2], found[3]) else f"{found[1]}{MASK}", text)
    text = _OPTIONS.sub(rf"\1{MASK}", text)
    return _ASSIGNMENT.sub(lambda found: _masked_value(found, found[1]), text)


def one_line(error: BaseException) -> str:
    """Kind and message of an error, without line breaks and secrets."""
    return f"{type(error).__name__}: {' '.join(without_secrets(str(error)).split())}"[:300]


def masked_options(options: Mapping[str, object]) -> dict[str, object]:
    """Options of a file system with every text masked that is not known to be harmless, however deep it stands."""
    return {name: _masked_option(name, value) for name, value in options.items()}


def masked_arguments(arguments: Mapping[str, object]) -> dict[str, object]:
    """Arguments that are passed on, masked where their names say so, and URLs among them."""
    return {name: _masked_argument(name, value) for name, value in arguments.items()}


def masked_place(value: object, path: str = "") -> str | None:
    """Where in a value something was masked: its path below `path`; None where nothing was."""
    if isinstance(value, str):
        return path if MASK in value else None
    if isinstance(value, Mapping):
        inside = ((f"{path}.{name}", item) for name, item in value.items())
    elif isinstance(value, list | tuple):
        inside = ((path, item) for item in value)
    else:
        return None
    return next((place for name, item in inside if (place := masked_place(item, name)) is not None), None)


def remember(given: object, masked: object) -> None:
    """Hold the texts of `given` that `masked` does not have, so that `without_secrets` finds them in any text."""
    if isinstance(given, Mapping) and isinstance(masked, Mapping):
        for name, value in given.items():
            remember(value, masked.get(name))
    elif isinstance(given, list | tuple) and isinstance(masked, list | tuple):
        for value, other in zip(given, masked, strict=True):
            remember(value, other)
    elif given is not None and given != masked:
        for secret in (str(given),) if masked == MASK else _secrets_in(str(given)):
            if len(secret) >= _REMEMBERED_FROM:
                _remembered.update({secret, quote(secret, safe=""), unquote(secret)})


def remembered(value: str) -> bool:
    """Whether a remembered value stands in `value`."""
    return any(secret in value for secret in _remembered)


@cache
def _known(values: frozenset[str]) -> re.Pattern[str] | None:
    longest_first = sorted(values, key=lambda value: (-len(value), value))
    return re.compile("|".join(map(re.escape, longest_first))) if values else None


def _masked_in_text(found: str) -> str:
    """A URL in a sentence, whose last marks are the sentence's."""
    url = found.rstrip(".,;:)]}")
    return masked_url(url) + found[len(url) :]


def _masked_value(found: re.Match[str], name: str) -> str:
    value = found[2].lstrip("'\"")
    named = value.startswith(("$", "`"))  # a variable or command, which is no secret itself
    return f"{name}={MASK}" if is_secret_name(name) and not named else found[0]


def _masked_query(found: re.Match[str]) -> str:
    parts = found[2].split("&")
    names = [part.partition("=")[0] for part in parts]
    signed = any(_signs(name) for name in names)
    kept = [part for part in parts if part != MASK and not _is_secret_part(part, signed=signed)]
    return found[0] if kept == parts else f"{found[1]}{'&'.join([*kept, MASK])}"


def _signs(name: str) -> bool:
    return name.lower().startswith(_SIGNED_BY) or is_secret_name(name)


def _is_secret_part(part: str, *, signed: bool) -> bool:
    name, _, value = part.partition("=")
    if value.startswith("$"):
        return False
    if name.lower() == "key" and not signed:  # an API's key; what has a dot or slash is rather an object's
        return bool(value) and "." not in value and "/" not in value and "%2F" not in value.upper()
    return _signs(name) or (signed and name.lower() in _BESIDE_A_SIGNATURE)


def _secrets_in(text: str) -> list[str]:
    """What is masked of a URL, or of a line that sets variables."""
    if _WHOLE.match(text):
        return _secrets_of_url(text)
    return [found[2].strip("'\"") for found in _ASSIGNMENT.finditer(text) if MASK in _masked_value(found, found[1])]


def _secrets_of_url(url: str) -> list[str]:
    """What is to be found in no text: password and token, and values of parameters that are secret by their names."""
    users = [found[0][3:-1] for found in _PASSWORD.finditer(url)] + [f[0] for f in _LONE_TOKEN.finditer(url)]
    passwords = [user.partition(":")[2] for user in users if ":" in user]
    tokens = [found[0].partition("://")[2][:-1] for found in _LONE_TOKEN.finditer(url)]
    parts = [part.partition("=") for found in _QUERY.finditer(url) for part in found[2].split("&")]
    named = [value for name, _, value in parts if is_secret_name(name) or (_is_secret_part(f"key={value}", signed=False)
             and name.lower() == "key")]  # fmt: skip
    return [secret for secret in (*passwords, *tokens, *named) if secret and MASK not in secret]


_HARMLESS = frozenset(
    {"endpoint_url", "endpoint", "endpoint_override", "url", "base_url", "host", "hostname", "port", "proxy_host"}
    | {"region", "region_name", "location", "default_location", "project", "profile", "profile_name", "account_name"}
    | {"account_host", "container_name", "bucket", "protocol", "target_protocol", "scheme", "consistency", "access"}
    | {"cache_type", "default_cache_type", "cache_storage", "same_names", "signature_version", "addressing_style"}
    | {"acl", "storage_class", "server_side_encryption", "mode", "encoding", "compression", "location_mode", "repo"}
    | {"repo_type", "revision", "user_agent", "timeout", "fo", "target_protocol", "api_version", "requester_pays"}
)
# How gcsfs is told where its token is to be had.
_NO_TOKENS = frozenset({"google_default", "cache", "anon", "browser", "cloud"})


def _is_harmless(name: str, value: str) -> bool:
    if value.lstrip("'\"").startswith("$"):  # names a variable
        return True
    plain = name.lower() in _HARMLESS or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() in _HARMLESS
    return plain or value in _NO_TOKENS or value.lower() in ("", "true", "false", "null", "none")


def _masked_option(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        return {inner: _masked_option(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_option(name, item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return masked_url(value) if _is_harmless(name, value) else MASK
    return MASK if is_secret_name(name) or name == "key" else value


def _masked_argument(name: str, value: object) -> object:
    if name in ("storage_options", "client_kwargs", "headers") and isinstance(value, Mapping):
        return masked_options(value)
    if isinstance(value, Mapping):
        return {inner: _masked_argument(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_argument(name, item) for item in value]
    if not isinstance(value, str):
        return value
    return MASK if value and (is_secret_name(name) or name == "key") else masked_url(value)
