"""What judging costs on a GPU, computed from a model's size before anything is downloaded or measured."""
