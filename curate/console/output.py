"""What a person reads on the terminal, and what is kept from it: the chatter of third parties, unless asked for."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TextIO

from curate.console.phases import aside
from curate.console.untrusted_text import harmless, one_line
from curate.core.secrets import without_secrets

_QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TRANSFORMERS_VERBOSITY": "error",
    "TORCH_LOGS": "-all",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore",
}

_VERBOSE = "CURATE_VERBOSE"
_FORM = "%(levelname)s %(name)s: %(message)s"


def configure(*, verbose: bool) -> None:
    """Set up logging once, before anything heavy is imported; `configure_child` does the same in a child process."""
    os.environ[_VERBOSE] = "1" if verbose else ""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Saves over a minute of start-up where TensorFlow happens to be installed beside transformers.
    os.environ.setdefault("USE_TF", "0")
    sys.excepthook = _traceback
    threading.excepthook = lambda ended: _traceback(
        ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback
    )
    _log(logging.INFO if verbose else logging.ERROR)
    if verbose:
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")


def configure_child() -> None:
    """In a spawned process: what was configured in its parent, whose environment it has."""
    configure(verbose=os.environ.get(_VERBOSE, "1") == "1")


def say(*lines: str) -> None:
    """Print lines meant for a person, without secrets; what came from data does nothing to the terminal."""
    with _aside():
        sys.stdout.write("".join(f"{_printable(harmless(without_secrets(line)), sys.stdout)}\n" for line in lines))
        sys.stdout.flush()


def complain(line: str) -> None:
    """Print an error as one line."""
    with _aside():
        sys.stderr.write(f"curate: {_printable(one_line(without_secrets(line)), sys.stderr)}\n")
        sys.stderr.flush()


class _Discreet(logging.Formatter):
    """Third parties log what they were given."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def _log(level: int) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Discreet(_FORM))
    logging.basicConfig(level=level, handlers=[handler])


def _traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A defect of ours is shown as Python shows it; its message may be a library's, with what that was given."""
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()


def _printable(text: str, stream: TextIO) -> str:
    """`text` with escapes for what the stream's encoding lacks: a caption must not end the program."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextmanager
def _aside() -> Iterator[None]:
    """Neither a phase's line nor a bar stands where the lines are written meanwhile."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    bars = nullcontext() if tqdm is None else tqdm.external_write_mode(file=sys.stderr, nolock=True)
    with aside(), bars:
        yield
