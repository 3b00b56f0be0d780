"""What a person reads on the terminal, and what is kept from it: the chatter of third parties, unless asked for."""

from __future__ import annotations

import logging
import os
import sys
import warnings

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
    """Print lines meant for a person."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def complain(line: str) -> None:
    """Print an error as one line."""
    sys.stderr.write(f"curate: {' '.join(line.split())}\n")
    sys.stderr.flush()
