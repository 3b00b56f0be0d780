"""A node for ComfyUI: pictures in; out come those that may be shown, the others black, and a report.

Put this file into ComfyUI's custom_nodes/, and `pip install curate[serve]` into its environment. Start the service with
`python -m curate serve ...`; the node asks it. If it cannot, the workflow stops: nothing passes unjudged.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from curate.guard import Guard, UnsafeImage
from curate.guard.pixels import blanked, pictures_of
from curate.guard.safety_checker import judged

_URL = "http://127.0.0.1:8100"


class CurateGuard:
    """Judges IMAGE, a float tensor [B, H, W, C] from 0 to 1."""

    CATEGORY = "image/safety"
    DESCRIPTION = "Judges pictures under a written safety policy; what it blocks is black, with a report that says why."
    FUNCTION = "guard"
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("images", "report")
    OUTPUT_NODE = False
    _guards: ClassVar[dict[tuple[str, str, str, bool], Guard]] = {}

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - ComfyUI's name
        """As ComfyUI asks."""
        return {
            "required": {
                "images": ("IMAGE",),
                "url": ("STRING", {"default": _URL}),
                "policy": ("STRING", {"default": "", "tooltip": "A policy of the service; its first where empty"}),
                "on_unsafe": (["blank", "stop"],),
                "rationale": ("BOOLEAN", {"default": False}),
            },
            "optional": {"token": ("STRING", {"default": ""})},
        }

    def guard(
        self, images: Any, url: str, policy: str, on_unsafe: str, rationale: bool = False, token: str = ""
    ) -> tuple[Any, str]:
        """The pictures that may be shown, and a line of JSON for each.

        Raises:
            UnsafeImage: one is blocked, and `on_unsafe` is "stop".
            GuardUnavailable: nobody judged.
        """
        key = (url, policy, token, rationale)
        if key not in self._guards:
            self._guards[key] = Guard(url=url, policy=policy or None, token=token or None, rationale=rationale)
        decisions = judged(self._guards[key], pictures_of(images.cpu().numpy()))
        if any(decisions) and on_unsafe == "stop":
            raise UnsafeImage(decisions)
        report = "\n".join(json.dumps(decision.as_json()) for decision in decisions)
        return blanked(images, [bool(decision) for decision in decisions]), report


NODE_CLASS_MAPPINGS = {"CurateGuard": CurateGuard}
NODE_DISPLAY_NAME_MAPPINGS = {"CurateGuard": "Safety policy (curate)"}
