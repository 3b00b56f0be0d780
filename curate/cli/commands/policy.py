"""`policy show`: the prompt a model reads under a policy, how many tokens it takes, and its hash.

`policy import FILE [name=NAME] [output=PATH]` reads a prompt text in LlavaGuard's layout into YAML and keeps the text
verbatim, so that exactly that is asked. The name defaults to the file's, output to NAME.yaml in the working folder;
use it with policy=PATH.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from curate.cli.hydra_config import compose_policy
from curate.cli.path_values import path_of
from curate.console.output import say
from curate.core.errors import ExitCode, InputError
from curate.judges.checkpoints import BUILTIN, resolve_model_path
from curate.judges.prompts import policy_hash, render_policy
from curate.policies.policy_file import policy_yaml
from curate.policies.prompt_import import parse_policy_text
from curate.settings.model import ModelSettings

SUMMARY = "show the prompt of a policy, or import one from a text"
EXAMPLE = "policy show policy=medical policy.categories.O6.enforced=false"
WORDS = "show import *"
ARGUMENTS = """
name=NAME                 import: what the policy is called
output=PATH               import: the file to write
"""
SETTINGS = "policy model"

_ACTIONS = ("show", "import")


def main(argv: list[str]) -> ExitCode:
    """Show or import a policy.

    Raises:
        InputError: an unknown action, argument or file, or a policy that does not hold up; one line.
    """
    if not argv or argv[0] not in _ACTIONS:
        raise InputError(f"policy: say what to do, one of {', '.join(_ACTIONS)}, e.g. {EXAMPLE}")
    action = _show if argv[0] == "show" else _import
    action(argv[1:])
    return ExitCode.DONE


def _show(overrides: Sequence[str]) -> None:
    policy, model = compose_policy(overrides)
    text = render_policy(policy)
    say(text, "", f"policy      {policy.name}", f"characters  {len(text)}", f"tokens      {_token_count(text, model)}")
    say(f"sha256      {policy_hash(policy)}")


def _token_count(text: str, model: ModelSettings) -> str:
    """Tokens of `text` alone, without the chat template and the image, or why they cannot be counted here.

    Reads tokenizer.json without transformers, whose import takes longer than everything else this command does.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return "unknown: the package tokenizers is not installed"
    file = _tokenizer_file(model)
    if file is None:
        return f"unknown: the tokenizer of {model.name} ({model.path}) is not on this machine"
    encoding = Tokenizer.from_file(str(file)).encode(text, add_special_tokens=False)
    return f"{len(encoding.ids)} for {model.name}"


def _tokenizer_file(model: ModelSettings) -> Path | None:
    """The model's tokenizer.json: in its folder, or where the hub's cache has it; nothing is downloaded."""
    folder = Path(model.path).expanduser()
    try:
        if model.path == BUILTIN:
            folder = resolve_model_path(model)
        if (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
        cached = try_to_load_from_cache(model.path, "tokenizer.json", revision=model.revision)
    except (InputError, HFValidationError):
        return None
    return Path(cached) if isinstance(cached, str) else None


def _import(arguments: Sequence[str]) -> None:
    file, options = _import_arguments(arguments)
    name = options.get("name") or re.sub(r"[^A-Za-z0-9_-]+", "_", file.stem).strip("_")
    output = Path(options.get("output", f"{name}.yaml"))
    policy = parse_policy_text(_read(file), name)
    if output.exists():
        raise InputError(f"{output}: is there already; remove it or give another output=PATH")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder; make it or give another output=PATH")
    output.write_text(policy_yaml(policy), encoding="utf-8", newline="\n")
    say(f"{output}: {len(policy.categories)} categories ({', '.join(policy.categories)}); use it with policy={output}")


def _import_arguments(arguments: Sequence[str]) -> tuple[Path, dict[str, str]]:
    files = [a for a in arguments if "=" not in a or Path(a).exists()]
    options = {key: path_of(value) for key, _, value in (a.partition("=") for a in arguments if a not in files)}
    unknown = sorted(options.keys() - {"name", "output"})
    if len(files) != 1 or unknown:
        given = f"unknown {', '.join(unknown)}" if unknown else f"{len(files)} files given"
        raise InputError(f"policy import: {given}; call it as policy import FILE [name=NAME] [output=PATH]")
    return Path(path_of(files[0])), options


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; name a text file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
