"""Links: from named hosts only, and to no address inside the network, whatever is tried."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from curate.core.errors import InputError
from curate.serving.errors import Refused
from curate.serving.fetching import Fetcher, PublicResolver, check_domains, is_public
from curate.settings.serve import ServeSettings

IMAGE = b"bytes of a picture"


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:a00:1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "",
    ],
)
def test_addresses_that_are_nobodys_business(address):
    assert not is_public(address)


def settings(**given):
    return ServeSettings(**({"domains": ["images.test", "other.test:8080"]} | given))


def fetch(url, fetcher=None, **given):
    async def go():
        return await (fetcher or Fetcher(settings(**given), 1000)).fetch(url, "input")

    return asyncio.run(go())


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.test/a.png",
        "http://127.0.0.1/a.png",
        "http://2130706433/a.png",
        "http://0x7f.1/a.png",
        "http://0177.0.0.1/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:127.0.0.1]/a.png",
        "http://localhost/a.png",
        "http://images.test@127.0.0.1/a.png",
        "http://127.0.0.1#@images.test/a.png",
        "http://user:secret@images.test/a.png",
        "http://images.test\\@127.0.0.1/a.png",
        "http://images.test:22/a.png",
        "http://images.test.evil.test/a.png",
        "http://evilimages.test/a.png",
        "http://other.test/a.png",
        "http://imageſ.test/a.png",
        "http://images.test\r\nHost: x/a.png",
        "http://images.test:99999999/a.png",
        "http:///a.png",
        "file:///etc/passwd",
        "ftp://images.test/a.png",
        "gopher://images.test/a.png",
    ],
)
def test_other_places_are_not_even_looked_up(url, monkeypatch):
    def looked_up(*_, **__):
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", looked_up)
    with pytest.raises(Refused) as refused:
        fetch(url)
    assert (refused.value.status, refused.value.code) == (400, "url_not_allowed")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:10.0.0.1"], []])
def test_a_name_that_leads_inside_is_refused_even_if_only_one_of_its_addresses_does(addresses):
    async def lookup(host, port, **_):
        return [(socket.AF_INET, 0, 0, "", (address, port)) for address in addresses]

    with pytest.raises(Refused) as refused:
        fetch("http://images.test/a.png", Fetcher(settings(), 1000, PublicResolver(lookup=lookup)))
    assert (refused.value.status, refused.value.code) == (400, "url_not_allowed")


class Site:
    """A server on this machine, that the name images.test leads to in these tests; and whoever asks it."""

    def __init__(self):
        self.asked = []
        self.lookups = 0

    async def answer(self, request):
        self.asked.append((request.path, request.headers.get("Host")))
        if request.path == "/moved":
            raise web.HTTPFound("http://127.0.0.1/secret")
        if request.path == "/large":
            return web.Response(body=b"x" * 2000)
        if request.path == "/packed":
            return web.Response(body=b"\x1f\x8b packed", headers={"Content-Encoding": "gzip"})
        if request.path == "/missing":
            raise web.HTTPNotFound
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        return web.Response(body=IMAGE)

    async def lookup(self, host, port, **_):
        """The first time this machine, which these tests take as public; then another: a name that is rebound."""
        self.lookups += 1
        address = "127.0.0.1" if self.lookups == 1 else "127.0.0.2"
        return [(socket.AF_INET, 0, 0, "", (address, port))]


def at_site(path, **given):
    async def go():
        site = Site()
        application = web.Application()
        application.router.add_get("/{path}", site.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        resolver = PublicResolver(public=lambda address: address == "127.0.0.1", lookup=site.lookup)
        fetcher = Fetcher(settings(domains=[f"images.test:{port}"], **given), 1000, resolver)
        try:
            return await fetcher.fetch(f"http://images.test:{port}{path}", "input"), site
        finally:
            await runner.cleanup()

    return asyncio.run(go())


def test_what_a_link_leads_to():
    body, site = at_site("/a.png")
    assert body == IMAGE
    assert site.asked[0][0] == "/a.png"
    assert site.asked[0][1].startswith("images.test:")


def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_the_one_asked():
    _, site = at_site("/a.png")
    assert site.lookups == 1


def test_nothing_is_unpacked():
    assert at_site("/packed")[0] == b"\x1f\x8b packed"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/moved", 400, "url_not_allowed"),
        ("/large", 413, "too_many_bytes"),
        ("/missing", 422, "fetch_failed"),
        ("/slow", 422, "fetch_failed"),
    ],
)
@pytest.mark.slow
def test_a_link_that_leads_on_or_to_too_much_or_nowhere(path, status, code):
    with pytest.raises(Refused) as refused:
        at_site(path, fetch_seconds=0.1)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize("name", ["127.0.0.1", "*", "*.test", "http://images.test", "images.test/x", "test", ""])
def test_only_names_can_be_named(name):
    with pytest.raises(InputError, match=r"serve\.domains"):
        check_domains(settings(domains=[name]))


def test_names_with_and_without_a_port():
    check_domains(settings(domains=["images.example.org", "a-b.example.org:8080"]))
