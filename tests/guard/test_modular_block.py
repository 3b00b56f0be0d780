"""A modular pipeline: the block behind diffusers' own decoding step."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="diffusers is a dependency of development")

from diffusers.modular_pipelines import SequentialPipelineBlocks  # noqa: E402
from diffusers.modular_pipelines.stable_diffusion_xl.decoders import StableDiffusionXLDecodeStep  # noqa: E402

from curate.core.errors import InputError  # noqa: E402
from curate.guard import Guard, GuardBlock, GuardUnavailable, UnsafeImage  # noqa: E402
from tests.support.services import serving  # noqa: E402
from tests.support.tiny_pipelines import tiny_vae  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")]


def decoded(block, **more):
    blocks = SequentialPipelineBlocks.from_blocks_dict({"decode": StableDiffusionXLDecodeStep(), "guard": block})
    pipe = blocks.init_pipeline()
    pipe.update_components(vae=tiny_vae())
    return pipe(latents=torch.zeros(2, 4, 8, 8), output=["images", "decisions"], **more)


@pytest.mark.parametrize(("threshold", "blocked"), [("0.0", True), ("1.0", False)])
def test_it_judges_what_is_decoded(threshold, blocked):
    serve = serving("policy=llavaguard", f"filter.thresholds.unsafe={threshold}")
    with serve as service, Guard(url=service.url) as guard:
        found = decoded(GuardBlock(guard))
        assert [bool(one) for one in found["decisions"]] == [blocked, blocked]
        assert all((np.asarray(image).max() == 0) == blocked for image in found["images"])
        if blocked:
            with pytest.raises(UnsafeImage):
                decoded(GuardBlock(guard, "raise"))


def test_it_ends_the_pipeline_where_nobody_judges():
    with pytest.raises(InputError, match="has none"):
        decoded(GuardBlock())
    with serving("policy=llavaguard") as service:
        guard = Guard(url=service.url)
    with pytest.raises(GuardUnavailable):
        decoded(GuardBlock(guard))
    guard.close()
