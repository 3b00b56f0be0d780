import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core import secrets
from curate.core.secrets import (
    MASK,
    is_secret_name,
    masked_arguments,
    masked_options,
    masked_place,
    masked_url,
    remember,
    without_secrets,
)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(secrets, "_remembered", set())


AWS = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101&X-Amz-Date=20260101T0&X-Amz-Signature=5ec2e7"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://b.s3.amazonaws.com/a/{{00..09}}.tar?{AWS}", "https://b.s3.amazonaws.com/a/{00..09}.tar?***"),
        ("https://h/a.tar?AWSAccessKeyId=AKIA&Expires=1&Signature=5ec2e7", "https://h/a.tar?***"),
        ("https://h/a.tar?X-Goog-Signature=5ec2e7&X-Goog-Expires=9", "https://h/a.tar?***"),
        ("https://acc.blob.core.windows.net/c/a.tar?sv=2020&se=1&sr=b&sp=r&sig=5e%3D", "https://acc.blob.core.windows.net/c/a.tar?***"),
        ("https://cdn/a.tar?Policy=x&Signature=y~&Key-Pair-Id=K", "https://cdn/a.tar?***"),
        ("https://h/dl?file=3&access_token=5ec2e7", "https://h/dl?file=3&***"),
        ("https://h/dl?key=AIza5ec2e7", "https://h/dl?***"),
        ("https://me:p@ss@h:8000/v1", "https://***@h:8000/v1"),
        ("https://ghp_5ec2e7@github.com/a.tar", "https://***@github.com/a.tar"),
        ("s3://id:5ec2e7@bucket/a.tar", "s3://***@bucket/a.tar"),
        ("simplecache::https://u:p@h/a.tar?sig=5ec2e7", "simplecache::https://***@h/a.tar?***"),
        ("zip://a.jpg::https://h/a.zip?token=5ec2e7", "zip://a.jpg::https://h/a.zip?***"),
        ("https://h/with space.tar?sig=5ec2e7", "https://h/with space.tar?***"),
    ],
)  # fmt: skip
def test_urls_are_shown_without_what_grants_access(url, shown):
    assert masked_url(url) == shown
    assert masked_url(shown) == shown
    assert masked_place(shown) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://h/dl?id=4&download=true",
        "https://h/dl?key=folder/a.tar",
        "abfs://container@account.dfs.core.windows.net/a.tar",
        "hf://datasets/me/it@main/a.tar",
        "/data/a?token=b.tar",
        "s3://bucket/a@b:c.tar",
        "https://h/a.tar?version=${oc.env:V}",
    ],
)
def test_what_names_a_thing_stays(url):
    assert masked_url(url) == url


def test_a_new_signature_changes_nothing():
    again = AWS.replace("5ec2e7", "0ther1").replace("20260101T0", "20270101T0")
    assert masked_url(f"https://h/a.tar?part=2&{AWS}") == masked_url(f"https://h/a.tar?part=2&{again}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("403, url='https://h/a.tar?Signature=5ec2e7'", "403, url='https://h/a.tar?***'"),
        ("(https://h/a.tar?sig=5ec2e7): gone", "(https://h/a.tar?***): gone"),
        ("dataset.storage_options.secret=5ec2e7: no", "dataset.storage_options.secret=***: no"),
        ("dataset.storage_options={key: 5ec2e7, a: {b: c}}", "dataset.storage_options=***"),
        ("export HF_TOKEN='5e c2' A=b", "export HF_TOKEN=*** A=b"),
        ("--api-key=5ec2e7", "--api-key=***"),
        ("GET /a.tar?part=2&X-Amz-Signature=5ec2e7 HTTP", "GET /a.tar?part=2&X-Amz-Signature=*** HTTP"),
        ("engine.url=http://u:5ec2e7@h/v1: dead", "engine.url=http://***@h/v1: dead"),
    ],
)
def test_messages_are_cleared(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "dataset.key=id: there is no such column",
        "dataset.storage_options.endpoint_url=http://h:9000",
        "export HF_TOKEN=$(cat ~/.token) KEY=$OTHER",
        "dataset.storage_options.secret='${oc.env:MY_SECRET}'",
        "max_tokens=3 pad_token=<pad>",
    ],
)
def test_other_messages_stay(text):
    assert without_secrets(text) == text


def test_every_text_among_storage_options_is_masked_but_what_is_known_to_be_harmless():
    options = {
        "key": "AKIA",
        "anon": False,
        "client_kwargs": {"endpoint_url": "https://u:p@h", "aws_session_token": "t", "verify": "/ca.pem"},
        "headers": {"Authorization": "Bearer b"},
        "proxies": ["http://u:p@proxy"],
        "password": 1234,
        "port": 9000,
        "token": "google_default",
    }
    assert masked_options(options) == {
        "key": MASK,
        "anon": False,
        "client_kwargs": {"endpoint_url": f"https://{MASK}@h", "aws_session_token": MASK, "verify": MASK},
        "headers": {"Authorization": MASK},
        "proxies": [MASK],
        "password": MASK,
        "port": 9000,
        "token": "google_default",
    }


def test_arguments_are_masked_by_their_names():
    given = {"hf_token": "hf_5ec2e7", "pad_token": "<pad>", "image_token_index": 3, "storage_options": {"a": "b"}}
    assert masked_arguments(given) == {**given, "hf_token": MASK, "storage_options": {"a": MASK}}


def test_a_value_that_came_another_way_is_found_in_any_text():
    given = {"secret": "s3cr/t+", "short": "abc", "endpoint_url": "http://h"}
    remember(given, masked_options(given))
    assert without_secrets("key s3cr/t+ or s3cr%2Ft%2B for abc at http://h") == "key *** or *** for abc at http://h"


@pytest.mark.parametrize(
    "name", ["aws_secret_access_key", "AccountKey", "connection_string", "HF_TOKEN", "apiKey", "Cookie"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["key", "max_tokens", "eos_token", "keyword", "monkey", "num_key_value_heads", "", "path"]
)
def test_names_of_other_things(name):
    assert not is_secret_name(name)


@given(st.text())
def test_masking_twice_is_masking_once(text):
    assert masked_url(masked_url(f"https://{text}")) == masked_url(f"https://{text}")
    assert without_secrets(without_secrets(text)) == without_secrets(text)
