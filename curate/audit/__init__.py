"""The audit of a text-to-image model: prompts and seeds to pictures, their verdicts, and a table with intervals.

Not to be confused with `curate.verification`, which holds a run's folder against its laws. Needs the extra `audit`.

Nouns: `Prompt`, `Draw` (one picture that is asked for: prompt, number, seed), `Generator`, outcome (a draw's fate).
Law: every picture that was asked for is counted once, judged, refused, failed or not judged; the same again gives the
same bytes.

| module | does |
|---|---|
| row_files, prompts | tables of prompts, read |
| draws | which pictures are asked for, with which seeds |
| generator, factory, generator_process | the contract; generators by name; one in a process of its own |
| diffusers_generator, openai_generator | pipelines of diffusers; an images API |
| shard_files, generating | pictures into WebDataset tars, whole or not at all; the loop |
| record | audit.yaml: what an audit is |
| outcomes, own_pictures | the run's rows as fates of what was asked for; pictures that somebody else made |
| intervals | shares and paired differences with their intervals |
| table, comparison | the paper's table; two generators side by side |
| report_md, results | as Markdown; all of it into the folder |
"""

__all__ = (
    "comparison",
    "draws",
    "factory",
    "generating",
    "generator_process",
    "outcomes",
    "own_pictures",
    "prompts",
    "record",
    "report_md",
    "results",
)
