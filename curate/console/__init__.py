"""What a person sees: lines, bars and pictures on a terminal, plain lines in a pipe.

Nouns: `Screen`, `Phase` (what the program waits for, and how long that usually takes).
Law: no byte of the data acts on the terminal; all text of others goes through `untrusted_text`.

| module | does |
|---|---|
| output | says and complains; keeps the chatter of third parties away |
| phases | one line for what is waited for, rewritten on a terminal |
| terminal | what a stream can show; sizes and durations in words |
| untrusted_text | text of others, made harmless |
| layout, screen, half_blocks | rows that wrap, where they are shown, pictures as characters |
"""

__all__ = (
    "half_blocks",
    "layout",
    "output",
    "phases",
    "screen",
    "terminal",
    "untrusted_text",
)
