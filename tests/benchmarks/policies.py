"""Several policies in one run, where a picture is as large to the model as to the released checkpoints.

What policies share is the picture: reading it, the image encoder, and image first the prefill of its tokens. How much
three of them cost follows from how much of the work that is. The built-in safeguard sees 112 pixels, some 136 tokens
(benchmark `savings`); LLaVA-OneVision, which LlavaGuard is tuned from, makes 3,699 tokens of 512 x 512 pixels. Here is
a slice of its 0.5B checkpoint with random weights, behind LlavaGuard's policy: the same tiles and grids, and of decoder
and encoder one layer each (of 24 and 27) in their own widths, 896 (with two heads of keys and values) and 1,152. So
linear layers, attention and encoder have about the shares of the work that they have there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from curate.policies.policy import Policy
from curate.testing.tiny_models import Size, build
from tests.benchmarks.judging import Verdicts, curate_job, judge_settings, mean_of, write_variants
from tests.benchmarks.measuring import Ratio, Result, alternate_timed
from tests.benchmarks.pictures import scaled_pictures, write_tars

REPEATS, PICTURES, PIXELS = 3, 12, 512
SIZE = Size(
    vocabulary=2000,
    width=896,
    layers=1,
    heads=14,
    kv_heads=2,
    vision_width=1152,
    vision_layers=1,
    tile=384,
    grid=6,
    context=8192,
)
WAYS = {"ratings alone": ["model.rationale=none"], "rationale for all": ["model.rationale_chars=120"]}
NUMBERS = {"one policy": 1, "three policies": 3}


def run(folder: Path) -> Result:
    """One and three policies, with and without rationales."""
    result = Result(name="policies", unit="images/s", checked="")
    (policy,) = judge_settings("policies=[llavaguard]").policies.values()
    files = write_variants(folder, policy)
    model = [
        "model=local",
        f"model.path={build(folder / 'model', 'llava_onevision', [_text(policy)], SIZE)}",
        "model.dtype=bfloat16",
        "engine.kv_cache_gib=4",
    ]
    shards = write_tars(folder / "tars", scaled_pictures(PICTURES, PIXELS, PIXELS))
    verdicts: dict[str, Verdicts] = {}

    def judge(name: str, options: list[str]) -> float:
        times, verdicts[name] = curate_job(folder / "run", shards, *model, *options)
        return times.judging

    contenders: dict[str, Callable[[], float]] = {
        f"{many}, {way}": partial(judge, f"{many}, {way}", [*options, f"policies=[{','.join(files[:number])}]"])
        for way, options in WAYS.items()
        for many, number in NUMBERS.items()
    }
    alternate_timed(contenders, PICTURES, result, repeats=REPEATS, warm_up=False)
    for way in WAYS:
        one, three = (f"{many}, {way}" for many in NUMBERS)
        result.ratios[f"cost of three policies to one, {way}"] = Ratio(value=result.ratio(one, three), at_most=1.6)
        for name in (one, three):
            result.notes[f"tokens under the first policy, {name}"] = _tokens(verdicts[name])
    result.checked = f"{PICTURES} pictures labelled under each policy: {_labelled(verdicts)}"
    return result


def _text(policy: Policy) -> str:
    """What the tokenizer learns its words from, so that the policy is cut about as finely as Qwen's cuts it."""
    return policy.model_dump_json()


def _tokens(verdicts: Verdicts) -> str:
    """Both passes counted; the second finds the prompt of the first in the cache."""
    prompt, cached, output = (mean_of(verdicts, f"{kind}_tokens") for kind in ("prompt", "cached", "output"))
    return f"{prompt:,.0f} of prompts, {cached:,.0f} of them cached, and {output:,.0f} of output for a picture"


def _labelled(verdicts: dict[str, Verdicts]) -> str:
    counts = {name: sum(j.rating is not None for j in judged.values()) for name, judged in verdicts.items()}
    assert set(counts.values()) == {PICTURES}, counts
    return "all of them in each job"
