"""Training data for safeguards, and tuning them; needs the extra `tune`.

Law: a conversation is what `run` would ask; an interrupted tuning goes on as if it had not been.

| module | does | gives |
|---|---|---|
| policy_augmentation | draws policies under which an image keeps or turns its label | cases |
| cases | a gold set to cases: policies, splits, rationales, balance | cases |
| rationales | what a case says where the gold set's own text fits or not | text, or None for the teacher |
| teacher | has a larger safeguard write the rationales that are missing | text |
| gold_images | finds the images of gold keys in any source | samples |
| conversations | a case as a conversation, and back | messages |
| dataset | writes and reads the Parquet of conversations | a folder for `datasets` |
| encoding | conversations to tensors, with the loss on the answer alone | batches |
| build | all of that, in this order | a folder of training data |
| trained_parts | what is trained: parts of the model, or LoRA | a model |
| order, image_augmentation | in which order rows come, and how their pictures are varied | |
| shared_prefix | the policy computed once for all conversations that begin with it | |
| checkpoint | the model that is tuned, loaded | a model, a processor |
| history | metrics as JSON lines, and the loss curve | files |
| tune | a tuning from beginning to end | a model for the engine |
| loop | the training loop, which goes on from its checkpoints | a tuned model, history |
| export | a checkpoint as the released ones are, or an adapter, for vLLM | a folder |
"""

__all__ = (
    "build",
    "gold_images",
    "teacher",
    "tune",
)
