"""Tokens: by name, from a file or the environment; none is fine on this machine alone."""

from __future__ import annotations

import json

import pytest

from curate.core.errors import InputError
from curate.serving.auth import ANONYMOUS, read_tokens
from curate.serving.errors import Refused
from curate.settings.serve import ServeSettings
from tests.support.services import png, serving

FIRST, SECOND = "a-token-of-the-first", "a-token-of-the-second"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# who may ask\nfirst {FIRST}\n\nsecond {SECOND}\n")
    return str(path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_on_this_machine_alone_nobody_needs_a_token(host):
    assert read_tokens(ServeSettings(host=host)).name_of(None) == ANONYMOUS


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "", "myhost", "::ffff:127.0.0.1.evil", "localhost.evil"])
def test_where_others_can_reach_it_tokens_are_needed(host, monkeypatch):
    monkeypatch.delenv("CURATE_TOKENS", raising=False)
    with pytest.raises(InputError, match="tokens are needed"):
        read_tokens(ServeSettings(host=host))


def test_tokens_from_a_file_and_from_the_environment(file, monkeypatch):
    for tokens in (read_tokens(ServeSettings(host="0.0.0.0", tokens=file)), _from_environment(monkeypatch)):
        assert tokens.name_of(f"Bearer {FIRST}") == "first"
        assert tokens.name_of(f"bearer  {SECOND}") == "second"


def _from_environment(monkeypatch):
    monkeypatch.setenv("CURATE_TOKENS", f"first {FIRST}\nsecond {SECOND}")
    return read_tokens(ServeSettings(host="0.0.0.0"))


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Basic {FIRST}", f"Bearer {FIRST}x", f"Bearer {FIRST[:-1]}", FIRST]
)
def test_no_token_or_a_wrong_one(file, header):
    with pytest.raises(Refused) as refused:
        read_tokens(ServeSettings(tokens=file)).name_of(header)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "text", ["", "# none\n", "first", "first short", f"a/b {FIRST}", f"first {FIRST} more", f"a {FIRST}\na {SECOND}"]
)
def test_files_that_are_wrong(tmp_path, text):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(InputError, match=r"serve\.tokens=") as error:
        read_tokens(ServeSettings(tokens=str(path)))
    assert FIRST not in str(error.value)


@pytest.mark.slow
def test_what_needs_a_token_and_what_does_not(file, tmp_path, capfd):
    audit = tmp_path / "audit.jsonl"
    with serving("policy=llavaguard", tokens=file, audit=str(audit), log=True) as service:
        for path in ("/health", "/ready", "/", "/openapi.json"):
            assert service.client.get(path).status_code == 200
        for path in ("/metrics", "/v1/policies"):
            assert service.client.get(path).status_code == 401
        assert service.judge(png(1)).json()["error"]["code"] == "missing_token"
        service.client.headers["Authorization"] = "Bearer wrong"
        assert service.judge(png(1)).json()["error"]["type"] == "authentication_error"
        service.client.headers["Authorization"] = f"Bearer {SECOND}"
        assert service.judge(png(1)).status_code == 200
        assert service.client.get("/metrics").status_code == 200
    assert json.loads(audit.read_text())["token"] == "second"
    printed = "".join(capfd.readouterr())
    assert '"token": "second"' in printed
    assert SECOND not in printed + audit.read_text()
