"""Processes and signals, whatever they work on.

Nouns: drain (finish what is in flight, then end with exit code 75), `PipedProcess` (asks and answers through a pipe).
Law: nothing that was started outlives the program, and the first Ctrl-C is obeyed at every moment.

| module | does |
|---|---|
| interruption | Ctrl-C and its like, from the first line of the program to its last |
| signals | keeps signals from processes that a worker starts |
| process_tree | ends processes together with all that they started |
| web_server | uvicorn, whose signals are the program's |
| piped_process | one process behind a pipe; when it dies, the question that killed it is known |
"""

__all__ = (
    "interruption",
    "piped_process",
    "process_tree",
    "signals",
    "web_server",
)
