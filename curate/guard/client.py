"""`Guard`: decisions on a program's pictures, by a service of its own or by one that runs elsewhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import threading
import warnings
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from PIL import Image

from curate.core.errors import CurateError, InputError
from curate.core.types import Status
from curate.guard.decision import Decision
from curate.guard.own_service import OwnService
from curate.images.encoding import Picture, encoded

T = TypeVar("T")

_AGAIN = (429, 503)
_LOST_TRIES = 3
_PARTLY = "partly_judged"
_UNJUDGED = {status.value for status in Status} | {_PARTLY}


class GuardUnavailable(CurateError):
    """Nobody judged: the guard cannot be reached, is overloaded for too long, or answers what is no decision.

    Whoever meets it must not show the picture.
    """


class GuardWarning(UserWarning):
    """What whoever relies on the decisions has to know of the model."""


class Guard:
    """Decides whether pictures may be shown.

    >>> with Guard(model="llavaguard_0.5b", policy="kids", thresholds="filter-recall.yaml") as guard:
    ...     for picture, decision in zip(pictures, guard(pictures)):
    ...         if decision:
    ...             print("blocked:", decision.category_name, decision.p_unsafe)

    Without `url` it loads the model in a process of its own, which takes as long as it takes; that process ends at
    `close`, or with this one. From several threads, and from any event loop (`await guard.judge(pictures)`).

    Args:
        model, policy: names or files, as `model=` and `policy=` take them. With `url`, `policy` is one that the service
            has.
        thresholds: a filter file, as `evaluate` writes it, or its name; a number is a cut-off on p_unsafe.
        overrides: further settings, as `serve` takes them: ["engine.tensor_parallel=2"].
        url: of a service that runs already.
        token: of that service.
        rationale: whether decisions have a rationale; it takes many times as long as a rating.
        timeout: seconds that a picture may take, the times included in which the service asks to come again.
        at_once: pictures that are asked about at a time.

    Raises:
        InputError: a setting is wrong, or the model cannot be loaded.
        EngineDead: the process that judges died.
        GuardUnavailable: there is no service at `url`, or it is not ready.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        policy: str | Path | None = None,
        thresholds: str | Path | float | None = None,
        overrides: Sequence[str] = (),
        url: str | None = None,
        token: str | None = None,
        rationale: bool = False,
        timeout: float = 120.0,
        at_once: int = 16,
    ) -> None:
        self._own: OwnService | None = None
        self._rationale = "true" if rationale else "false"
        self._timeout = timeout
        if url is None:
            self._policy = None
            self._own = OwnService(_overrides(model, policy, thresholds, overrides))
            transport, base = httpx.AsyncHTTPTransport(uds=self._own.socket), "http://guard"
        else:
            if model is not None or thresholds is not None or overrides:
                raise InputError("Guard: the service at `url` has a model and thresholds of its own; leave these out")
            self._policy = None if policy is None else str(policy)
            transport, base = httpx.AsyncHTTPTransport(), url.rstrip("/")
        self._loop = _Loop()
        self._client = httpx.AsyncClient(
            base_url=base,
            transport=transport,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout, connect=10.0),
            trust_env=False,
        )
        self._places = asyncio.Semaphore(at_once)
        self._finalizer = weakref.finalize(self, _end, self._loop, self._client, self._own)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def __call__(self, pictures: Sequence[Picture] | Picture) -> list[Decision]:
        """A decision for each picture, in their order: PIL images, encoded bytes, or paths.

        A picture that cannot be judged has a decision, too, which blocks it.

        Raises:
            GuardUnavailable: nobody judged.
            InputError: a file cannot be read, or the service refuses what it is asked.
        """
        future = self._submit(pictures)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def judge(self, pictures: Sequence[Picture] | Picture) -> list[Decision]:
        """As a call, for event loops; a cancelled one asks about nothing more."""
        return await asyncio.wrap_future(self._submit(pictures))

    def close(self) -> None:
        """End what was started for it. Idempotent."""
        self._finalizer()

    def __deepcopy__(self, memo: object) -> Self:
        """The guard itself, as diffusers copies the blocks of a pipeline: there is one process that judges."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def _submit(self, pictures: Sequence[Picture] | Picture) -> concurrent.futures.Future[list[Decision]]:
        if not self._finalizer.alive:
            raise GuardUnavailable("the guard was closed")
        single = isinstance(pictures, (Image.Image, bytes, str, Path))
        return self._loop.submit(self._all([pictures] if single else list(pictures)))  # type: ignore[list-item, arg-type]

    async def _all(self, pictures: Sequence[Picture]) -> list[Decision]:
        tasks = [asyncio.ensure_future(self._one(picture)) for picture in pictures]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _one(self, picture: Picture) -> Decision:
        async with self._places:
            body = await asyncio.to_thread(encoded, picture)
            try:
                async with asyncio.timeout(self._timeout):
                    response = await self._post(body)
            except TimeoutError as error:
                raise GuardUnavailable(f"there was no answer within {self._timeout:g} s") from error
        decision = _decision(response)
        if decision.sha256 is not None and decision.sha256 != hashlib.sha256(body).hexdigest():
            raise GuardUnavailable("the service answers about another picture")
        return decision

    async def _post(self, body: bytes) -> httpx.Response:
        """The answer, once it is not to come again."""
        fields = {"rationale": self._rationale} | ({"policy": self._policy} if self._policy else {})
        lost = 0
        while True:
            try:
                response = await self._client.post("/v1/judge", files={"image": ("image", body)}, data=fields)
            except httpx.HTTPError as error:
                lost += 1
                end = self._own and self._own.end
                if end or lost >= _LOST_TRIES:
                    raise GuardUnavailable(f"the service is gone: {end or error or type(error).__name__}") from error
                await asyncio.sleep(0.1 * lost)
                continue
            if response.status_code not in _AGAIN:
                return response
            after = response.headers.get("Retry-After", "1")
            await asyncio.sleep(float(after) if after.isdigit() else 1.0)

    def _greet(self) -> None:
        """Ask what there is, and tell what has to be known of the model."""
        try:
            response = self._loop.submit(self._client.get("/v1/policies")).result()
            said = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise GuardUnavailable(f"there is no service that answers at {self._client.base_url}: {error}") from error
        if response.status_code != 200:
            raise GuardUnavailable(f"the service refuses: {_message(response)}")
        known = [policy["name"] for policy in said["policies"]]
        if self._policy is not None and "\n" not in self._policy and self._policy not in known:
            raise InputError(f"policy: the service has no {self._policy!r}; choose one of {', '.join(known)}")
        if said.get("warning"):
            warnings.warn(said["warning"], GuardWarning, stacklevel=3)


class _Loop:
    """An event loop in a thread of its own, so that there is one whatever the program does."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="guard", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _end(loop: _Loop, client: httpx.AsyncClient, own: OwnService | None) -> None:
    try:
        loop.submit(_leave(client)).result()
        loop.close()
    finally:
        if own is not None:
            own.close()


async def _leave(client: httpx.AsyncClient) -> None:
    """Who still waits is told; then the connections are closed."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.aclose()


def _overrides(
    model: str | None, policy: str | Path | None, thresholds: str | Path | float | None, more: Sequence[str]
) -> list[str]:
    given: Mapping[str, object] = {"model": model, "policy": policy}
    chosen = [f"{key}={value}" for key, value in given.items() if value is not None]
    if isinstance(thresholds, (int, float)):
        chosen.append(f"filter.thresholds.unsafe={thresholds}")
    elif thresholds is not None:
        chosen.append(f"filter={thresholds}")
    return [*chosen, *more]


def _decision(response: httpx.Response) -> Decision:
    """What the service decided, or why it could not judge this picture.

    Raises:
        InputError: it refuses what it is asked.
        GuardUnavailable: it says neither.
    """
    try:
        said = response.json()
        if response.status_code == 200:
            return Decision.of_json(said)
        if said["error"]["code"] in _UNJUDGED and "curate" in said:
            return Decision.of_json(said["curate"])
    except (ValueError, LookupError, TypeError) as error:
        raise GuardUnavailable(f"the service answers {response.status_code}, and what is no decision") from error
    if response.status_code in (400, 413, 422):
        raise InputError(f"the service refuses: {_message(response)}")
    raise GuardUnavailable(f"the service answers {response.status_code}: {_message(response)}")


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, LookupError, TypeError):
        return f"status {response.status_code}"
