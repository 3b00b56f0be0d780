"""How a safeguard is asked, and how its answer is read.

Nouns: `Question` (a policy as a prompt, and what an answer may be), verdict, checkpoint.
Law: a label is a category of the policy that was asked with, or there is no label.

| module | does |
|---|---|
| prompts | a policy as the text that a model reads |
| chat_prompt | that text around one image, in either order |
| questions | what each sample is asked |
| row_policies | rows that bring their own policy |
| verdicts | the answer's layout, the grammar that holds it, the parser |
| checkpoints, hub_download, weight_digests | where a model is, and what tells it from all others |
| released_keys | names of weights in the released checkpoints |
| tuned_policies | policies that a model was never tuned on |
"""

__all__ = (
    "chat_prompt",
    "checkpoints",
    "prompts",
    "questions",
    "released_keys",
    "row_policies",
    "tuned_policies",
    "verdicts",
    "weight_digests",
)
