"""The safeguard as a moderation service: OpenAI's /v1/moderations, a plain /v1/judge, LiteLLM's guardrail.

One process, one engine. It listens on this machine only, unless it has tokens; SIGTERM lets what is in flight finish.
Decisions are those of `filter` by the same rules: give it the filter file that `evaluate` wrote, as filter=FILE.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

from curate.cli.hydra_config import compose_serve
from curate.cli.remarks import remarks
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.pipeline.opening import fingerprints_of, settle_dtype

SUMMARY = "the safeguard as a moderation service, for what a generative model makes"
EXAMPLE = "serve model=llavaguard_0.5b policy=kids filter=filter-recall.yaml"
SETTINGS = "serve model policy policies engine filter"

_NEEDED = {"fastapi": "fastapi", "uvicorn": "uvicorn", "prometheus_client": "prometheus-client"}
_NEEDED |= {"python_multipart": "python-multipart"}


def main(argv: list[str]) -> ExitCode:
    """Serve until a signal comes.

    Raises:
        InputError: a setting is wrong, the address is taken, or the model cannot be loaded.
        EngineDead: the engine cannot be kept alive.
    """
    missing = [name for module, name in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise InputError(f"serve: {', '.join(missing)} not installed; pip install 'curate[serve]'")
    from curate.serving.server import make_service, serve_until_told

    for argument in argv:
        if argument.lstrip("+~").partition("=")[0].partition(".")[0] not in SETTINGS.split():
            raise InputError(f"{argument}: `serve` takes settings of {', '.join(SETTINGS.split())}")
    settings, serve = compose_serve(argv)
    settings = settle_dtype(settings, None)
    if settings.model.warning:
        say(settings.model.warning)
    say(*remarks(settings))
    asyncio.run(serve_until_told(make_service(settings, serve, fingerprints_of(settings))))
    return ExitCode.DONE
