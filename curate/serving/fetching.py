"""Links, fetched from named hosts only, and never from inside the network that this machine stands in.

What the name means is asked once, every address that it means has to be public, and the connection goes to such an
address itself: a name that means another one a moment later changes nothing. No redirect is followed, no proxy is
asked, nothing is unpacked, and bytes and time are bounded.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from curate.core.errors import InputError
from curate.serving.errors import Refused
from curate.settings.serve import ServeSettings

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.ASCII | re.IGNORECASE)
_EMBEDDING = tuple(ipaddress.ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
"""IPv6 networks whose addresses stand for IPv4 ones: NAT64, 6to4, Teredo."""


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet at large."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip.scope_id is not None or any(ip in network for network in _EMBEDDING):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


class NotPublic(OSError):
    """A name means an address that is nobody's business."""


class PublicResolver(AbstractResolver):
    """Names to addresses, of which every one is public.

    Args:
        public: what counts as such.
        lookup: how a name is looked up; the system's way where none is given.
    """

    def __init__(self, public: Callable[[str], bool] = is_public, lookup: Callable[..., Any] | None = None) -> None:
        self._public = public
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As `aiohttp` asks; raises `NotPublic`, or OSError where the name means nothing."""
        lookup = self._lookup or asyncio.get_running_loop().getaddrinfo
        found = await lookup(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refused = next((address for address in addresses if not self._public(address)), None)
        if refused is not None or not addresses:
            raise NotPublic(f"{host} does not lead to a public address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def check_domains(settings: ServeSettings) -> None:
    """Refuse what is no host's name.

    Raises:
        InputError: an entry of `serve.domains` is an address, or more than a name and a port.
    """
    for name in settings.domains:
        host, _, port = name.partition(":")
        if not _HOST.fullmatch(host) or (port and not port.isdigit()) or host.rpartition(".")[2].isdigit():
            raise InputError(f"serve.domains: {name!r} is no host's name; write it like images.example.org")


class Fetcher:
    """Fetches from `serve.domains`; a session for each link, so that no connection is shared between two names."""

    def __init__(self, settings: ServeSettings, max_bytes: int, resolver: PublicResolver | None = None) -> None:
        self._domains = frozenset(name.lower() for name in settings.domains)
        self._seconds = settings.fetch_seconds
        self._max_bytes = max_bytes
        self._resolver = resolver or PublicResolver()

    async def fetch(self, url: str, param: str) -> bytes:
        """What a link leads to.

        Raises:
            Refused: 400, it is not to be followed; 422, it leads nowhere; 413, to too much.
        """
        self._check(url, param)
        connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True)
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        try:
            async with aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False, auto_decompress=False
            ) as session:
                return await self._read(session, url, param)
        except NotPublic as error:
            raise _not_followed(f"{param}: {error}", param) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if isinstance(error.__cause__, NotPublic) or isinstance(error.__context__, NotPublic):
                raise _not_followed(f"{param} does not lead to a public address", param) from error
            what = "took too long" if isinstance(error, TimeoutError) else "could not be fetched"
            raise Refused(422, "fetch_failed", f"{param} {what}", param=param) from error

    async def _read(self, session: aiohttp.ClientSession, url: str, param: str) -> bytes:
        async with session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response:
            if response.status in range(300, 400):
                raise _not_followed(f"{param} leads to another place, which is not followed", param)
            if response.status != 200:
                raise Refused(422, "fetch_failed", f"{param}: its host answers {response.status}", param=param)
            body = bytearray()
            async for chunk in response.content.iter_chunked(2**16):
                body += chunk
                if len(body) > self._max_bytes:
                    raise Refused(413, "too_many_bytes", f"{param} has more than {self._max_bytes} bytes", param=param)
            return bytes(body)

    def _check(self, url: str, param: str) -> None:
        """A link of a named host, by http or https, at the port that the name was given with, or the usual one."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
            as_fetched = (yarl.URL(url).host or "").rstrip(".")
        except ValueError as error:
            raise _not_followed(f"{param} is no URL", param) from error
        usual = _PORTS.get(parts.scheme.lower())
        if usual is None:
            raise _not_followed(f"{param}: send a data URL; {parts.scheme[:16]!r} is not followed", param)
        named = host if port in (None, usual) else f"{host}:{port}"
        if named.lower() not in self._domains:
            raise _not_followed(f"{param}: send a data URL; links from this host are not followed", param)
        if (
            as_fetched.lower() != host.lower()
            or parts.username is not None
            or parts.password is not None
            or "\\" in url
            or not url.isprintable()
        ):
            raise _not_followed(f"{param} is written in a way that is not followed", param)


def _not_followed(message: str, param: str) -> Refused:
    return Refused(400, "url_not_allowed", message, param=param)
