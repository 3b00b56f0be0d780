"""Settings of `serve`: where it listens, whom it answers, and what it holds at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from curate.settings.group import Group, _listed


class ServeSettings(Group):
    """The moderation service. Nothing here changes a decision but `passes`."""

    host: str = "127.0.0.1"
    """Address to listen at; any but this machine's own wants tokens."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8100
    """Port to listen at; 0 takes a free one and says which."""
    socket: str | None = None
    """Path of a Unix socket to listen at in place of `host` and `port`."""
    tokens: str | None = None
    """File of bearer tokens, a line "NAME TOKEN" for each client."""
    tokens_env: str = "CURATE_TOKENS"
    """Environment variable that holds such lines, where there is no file."""
    passes: list[str] = Field(default=["clean"], min_length=1)
    """Splits of the filter's rules that pass; a picture in any other is blocked."""
    rationale: Literal["all", "unsafe", "none"] = "none"
    """Which answers have a rationale, where a request does not say; one takes many times as long as a rating."""
    own_policies: bool = False
    """Whether a request may bring the text of a policy of its own."""
    domains: list[str] = []
    """Names, such as images.example.org, from which http(s) links are fetched; data URLs and uploads need none."""
    fetch_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that fetching a link may take."""
    max_images: Annotated[int, Field(gt=0)] = 16
    """Pictures in one request."""
    max_body: Annotated[int, Field(gt=0)] = 32 * 2**20
    """Bytes of one request."""
    body_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds in which a request has to have arrived."""
    max_held: Annotated[int, Field(gt=0)] = 512
    """Pictures that are held at once, waiting or being judged; what comes beyond is refused with 429."""
    max_held_bytes: Annotated[int, Field(gt=0)] = 2**30
    """Bytes of requests that are held at once; what comes beyond is refused with 429. Reading them takes about as much
    again."""
    deadline: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which a request that has no answer is refused with 503."""
    drain_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Seconds that requests in flight have to finish once a signal ends the service."""
    images_a_minute: Annotated[int, Field(gt=0)] | None = None
    """Pictures a minute that each token may ask about; null sets no limit."""
    images_at_once: Annotated[int, Field(gt=0)] | None = None
    """Pictures that each token may have in flight; null sets no limit."""
    audit: str | None = None
    """File that every decision is appended to: time, token's name, hashes, rating, p_unsafe; nothing of an image."""
    log: bool = True
    """Whether each request is logged to stderr, as a line of JSON."""
    until_stdin_ends: bool = False
    """Drain and end when standard input ends, so that the service ends with the program that started it."""

    _one_is_a_list = field_validator("passes", "domains", mode="before")(_listed)
