"""Safety policies: what they say, how they are written down, and how they are read from LlavaGuard's layout.

Nouns: `Policy` (categories with guidelines, each enforced or declared non-violating).
Law: two policies with the same text have the same hash, and any other text another.

| module | does |
|---|---|
| policy | the schema |
| policy_file | YAML files, checked for what YAML readers let pass |
| prompt_import | a prompt text in LlavaGuard's layout to a policy |
"""

__all__ = (
    "policy",
    "policy_file",
    "prompt_import",
)
