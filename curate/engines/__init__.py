"""Who answers: vLLM, a server that speaks OpenAI's protocol, or the fake of the tests.

Nouns: `Engine` (the contract), `Renderer`, `Payload`.
Law: an engine changes no row beyond its numerics; none is imported before it is asked for.

| module | does |
|---|---|
| base | the contract: rendering in reader processes, judging in the engine's own |
| factory | engines by name; another one is one file and one line here |
| vllm_engine, vllm_backend, vllm_args, scoring | judging in two passes; vLLM itself; its arguments; probabilities |
| server, chat_response | any server with chat completions |
| fake | answers from a hash of the picture; for tests and dry runs |
| supervised | survives its engine's death, and quarantines what caused it |
| dtype, gpus, load_times | number format, GPUs, how long loading usually takes |
| engine_folder, redirected_output, parent_watch, shared_picture | what an engine's processes print, own and share |
"""

__all__ = (
    "base",
    "dtype",
    "engine_folder",
    "factory",
    "gpus",
    "load_times",
    "supervised",
    "vllm_args",
)
