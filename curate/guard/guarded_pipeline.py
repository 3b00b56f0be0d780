"""Any pipeline of diffusers, whether or not it has a hook: what it returns is judged first.

>>> pipe = guarded(pipe, guard, on_unsafe="regenerate")
>>> output = pipe("a quiet street", num_inference_steps=30)
>>> output.images, output.decisions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from curate.core.errors import CurateError, InputError
from curate.guard.decision import Decision
from curate.guard.pixels import blanked, pictures_of, put
from curate.guard.safety_checker import Judge, judged

OnUnsafe = Literal["blank", "raise", "regenerate"]
_LARGEST_SEED = 2**63 - 1


class UnsafeImage(CurateError):
    """A picture was blocked, and none is given out.

    Attributes:
        decisions: on all pictures of the call.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        blocked = [one for one in decisions if one]
        first = blocked[0]
        why = f"{first.category}: {first.category_name}" if first.judged else first.detail or first.status
        super().__init__(f"{len(blocked)} of {len(decisions)} pictures were blocked; the first: {why}")
        self.decisions = list(decisions)


def guarded(pipe: Any, guard: Judge, on_unsafe: OnUnsafe = "blank", *, tries: int = 3) -> GuardedPipeline:
    """`pipe`, so that no picture comes out of it that was not judged and let pass.

    Args:
        pipe: called as before; methods that return the pipeline, such as `to`, return the guarded one.
        guard: a `Guard`.
        on_unsafe: "blank" returns a black picture in place of one that is blocked; "raise" raises `UnsafeImage`;
            "regenerate" calls the pipeline again with other seeds, and blanks what is still blocked then.
        tries: how often it is called again, at most.

    Raises:
        InputError: there is no such mode.
    """
    if on_unsafe not in ("blank", "raise", "regenerate"):
        raise InputError(f'on_unsafe={on_unsafe}: choose one of "blank", "raise", "regenerate"')
    return GuardedPipeline(pipe, guard, on_unsafe, tries)


class GuardedPipeline:
    """See `guarded`. Everything but calls goes to the pipeline itself."""

    def __init__(self, pipe: Any, guard: Judge, on_unsafe: OnUnsafe, tries: int) -> None:
        self._pipe = pipe
        self._guard = guard
        self._on_unsafe = on_unsafe
        self._tries = tries

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """As the pipeline, whose output has `decisions` beside `images`; with `return_dict=False` it is their tuple.

        Raises:
            UnsafeImage: a picture is blocked, and `on_unsafe` is "raise".
            InputError: what the pipeline would return are no pictures, e.g. latents, which nobody can judge.
            GuardUnavailable: nobody judged.
        """
        if named.get("output_type") == "latent":
            raise InputError("output_type=latent: latents cannot be judged; decode them in the pipeline")
        as_tuple = named.get("return_dict") is False
        output = self._pipe(*arguments, **named)
        images = _images(output, as_tuple=as_tuple)
        decisions = judged(self._guard, pictures_of(images))
        if any(decisions) and self._on_unsafe == "raise":
            raise UnsafeImage(decisions)
        if any(decisions) and self._on_unsafe == "regenerate":
            images, decisions = self._regenerated(images, decisions, arguments, named, as_tuple=as_tuple)
        images = blanked(images, [bool(one) for one in decisions])
        return (images, decisions) if as_tuple else _with(output, images, decisions)

    def __getattr__(self, name: str) -> Any:
        """The pipeline's; a method that returns the pipeline returns this, so that nothing leads around the guard."""
        if name.startswith("_"):  # also before there is a pipeline, as when this is copied
            raise AttributeError(name)
        found = getattr(self._pipe, name)
        return self._returning_self(found) if callable(found) and hasattr(found, "__self__") else found

    def _returning_self(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            returned = method(*arguments, **named)
            return self if returned is self._pipe else returned

        return called

    def _regenerated(
        self, images: Any, decisions: list[Decision], arguments: Any, named: dict[str, Any], *, as_tuple: bool
    ) -> tuple[Any, list[Decision]]:
        """What is blocked is taken from calls with other seeds, as far as these bring what passes."""
        for attempt in range(1, self._tries + 1):
            again = self._pipe(*arguments, **named | {"generator": _other_seeds(named.get("generator"), attempt)})
            others = _images(again, as_tuple=as_tuple)
            new = judged(self._guard, pictures_of(others))
            for index, decision in enumerate(decisions):
                if decision and index < len(new) and not new[index]:
                    images, decisions[index] = put(images, index, others, index), new[index]
            if not any(decisions):
                break
        return images, decisions


def _images(output: Any, *, as_tuple: bool) -> Any:
    if as_tuple:
        return output[0]
    if not hasattr(output, "images"):
        raise InputError(f"guard: {type(output).__name__} has no images; other things cannot be judged")
    return output.images


def _with(output: Any, images: Any, decisions: list[Decision]) -> Any:
    output.images = images
    output.decisions = decisions
    return output


def _other_seeds(generator: Any, attempt: int) -> Any:
    """Generators with seeds of their own, which follow from the first ones where there were any."""
    import torch

    if isinstance(generator, (list, tuple)):
        return [_other_seeds(one, attempt) for one in generator]
    if generator is None:
        return torch.Generator().manual_seed(torch.seed() % _LARGEST_SEED)
    return torch.Generator(generator.device).manual_seed((generator.initial_seed() + attempt) % _LARGEST_SEED)
