"""What a person reads on the terminal, and what is kept from it: the chatter of third parties, unless asked for."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TextIO

from curate.console.phases import aside
from curate.console.untrusted_text import harmless, one_line

_QUIET = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TRANSFORMERS_VERBOSITY": "error",
    "TORCH_LOGS": "-all",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore",
}

_VERBOSE = "CURATE_VERBOSE"


def configure(*, verbose: bool) -> None:
    """Set up logging once, before anything heavy is imported; `configure_child` does the same in a child process."""
    os.environ[_VERBOSE] = "1" if verbose else ""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Saves over a minute of start-up where TensorFlow happens to be installed beside transformers.
    os.environ.setdefault("USE_TF", "0")
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    warnings.simplefilter("ignore")


def configure_child() -> None:
    """In a spawned process: what was configured in its parent, whose environment it has."""
    configure(verbose=os.environ.get(_VERBOSE, "1") == "1")


def say(*lines: str) -> None:
    """Print lines meant for a person. What came from data cannot do anything to the terminal: see `harmless`."""
    with _aside():
        sys.stdout.write("".join(f"{_printable(harmless(line), sys.stdout)}\n" for line in lines))
        sys.stdout.flush()


def complain(line: str) -> None:
    """Print an error as one line."""
    with _aside():
        sys.stderr.write(f"curate: {_printable(one_line(line), sys.stderr)}\n")
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
