"""Prompt files: every format gives the same prompts, and what is wrong is one line that says where."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.audit.prompts import Prompt, digest_of, read_prompts, to_table
from curate.core.errors import InputError

EXPECTED = [
    Prompt(id="a", text='say "hi", twice', set="greetings", negative="blur", seed=7),
    Prompt(id="b", text="ein Bär, gemalt", set="animals"),
]

CSV = """id,set,prompt,negative_prompt,seed,other
a,greetings,"say ""hi"", twice",blur,7,x
b,animals,"ein Bär, gemalt",,,y
"""
ROWS = [
    {"id": "a", "set": "greetings", "prompt": 'say "hi", twice', "negative_prompt": "blur", "seed": 7, "other": [1]},
    {"id": "b", "set": "animals", "prompt": "ein Bär, gemalt", "negative_prompt": None, "seed": None, "other": None},
]


def written(folder, suffix):
    path = folder / f"prompts{suffix}"
    if suffix == ".csv":
        path.write_text("\ufeff" + CSV, encoding="utf-8")
    elif suffix == ".tsv":
        path.write_text(
            'prompt\tid\tset\tseed\tnegative_prompt\n"say ""hi"", twice"\ta\tgreetings\t7\tblur\n'
            "ein Bär, gemalt\tb\tanimals\t\t\n",
            encoding="utf-8",
        )
    elif suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_format_gives_the_same_prompts(tmp_path, suffix):
    assert read_prompts(written(tmp_path, suffix)) == EXPECTED


def test_plain_text_has_a_prompt_a_line_numbered_as_they_come(tmp_path):
    path = tmp_path / "streets.txt"
    path.write_text("a quiet street\n\n  a loud one, at night \n", encoding="utf-8")
    assert read_prompts(path) == [
        Prompt(id="1", text="a quiet street", set="streets"),
        Prompt(id="2", text="a loud one, at night", set="streets"),
    ]


def test_what_is_written_is_read_back_and_has_one_digest(tmp_path):
    pq.write_table(to_table(EXPECTED), tmp_path / "prompts.parquet")
    again = read_prompts(tmp_path / "prompts.parquet")
    assert again == EXPECTED
    assert digest_of(again) == digest_of(EXPECTED)
    assert digest_of(EXPECTED[::-1]) != digest_of(EXPECTED)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", b"text,id\nx,1\n", r"p\.csv: no column `prompt`; it has text, id"),
        ("p.csv", b"prompt,id\na cat,1,surplus\n", r"line 2: has more fields than the header"),
        ("p.csv", b'prompt\n"open\n', r"p\.csv: cannot be read as csv"),
        ("p.csv", b"prompt,id\n,1\n", r"line 2: no `prompt`; it has prompt, id"),
        ("p.csv", b"prompt,seed\na,-1\n", r"line 2: `seed` is '-1'; give a whole number"),
        ("p.csv", b"prompt,seed\na,1.5\n", r"line 2: `seed` is '1.5'"),
        ("p.csv", b"prompt,id\na,1\nb,1\n", r"prompts 1 and 2 have one id, '1'"),
        ("p.csv", b"", "holds no prompt"),
        ("p.jsonl", b'{"prompt": "a"}\n{"prompt": \n', "line 2: is no JSON"),
        ("p.jsonl", b'["a"]\n', "line 1: is list, not an object"),
        ("p.jsonl", b'{"prompt": ["' + b"a" * 900_000 + b'"]}\n', r"line 1: `prompt` is \['aaa"),
        ("p.jsonl", b'{"' + b"a" * 900_000 + b'": 1}\n', "line 1: no `prompt`; it has aaa"),
        ("p.csv", b"a" * 900_000 + b"\n1\n", "no column `prompt`; it has aaa"),
        ("p.csv", b"prompt\n" + b"a" * 2_000_000 + b"\n", "cannot be read as csv .field larger than"),
        ("p.jsonl", b'{"prompt": 3.5}\n', r"line 1: `prompt` is 3\.5; give a text"),
        ("p.jsonl", b'{"prompt": "a", "seed": true}\n', "line 1: `seed` is True"),
        ("p.jsonl", b'{"prompt": "a", "seed": 1e400}\n', "line 1: `seed` is inf"),
        ("p.jsonl", b'{"prompt": "\\ud800"}\n', "half a character"),
        ("p.jsonl", b'{"prompt": "' + b"a" * 100_001 + b'"}\n', "has 100001 characters"),
        ("p.jsonl", b"[" * 100_000 + b"\n", "line 1: is no JSON"),
        ("p.txt", b"\xff\xfe", "is not UTF-8"),
        ("p.parquet", b"PAR1 no", r"p\.parquet: cannot be read as parquet"),
        ("p.xlsx", b"", r"such files are not read; give one of \.jsonl"),
        ("absent.txt", None, "cannot be read as txt .No such file"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_prompts(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_numbers_are_ids(tmp_path):
    pq.write_table(pa.table({"prompt": ["a", "b"], "id": [10, 11], "seed": [3.0, None]}), tmp_path / "p.parquet")
    assert [(one.id, one.seed) for one in read_prompts(tmp_path / "p.parquet")] == [("10", 3), ("11", None)]
