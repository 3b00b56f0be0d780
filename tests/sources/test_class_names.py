"""Names of classes, as `datasets` writes them down and as nobody should."""

from __future__ import annotations

import json

import datasets
import pyarrow as pa
import pytest

from curate.sources.class_names import features_of, with_names

PETS = datasets.ClassLabel(names=["cat", "dog"])


@pytest.mark.parametrize(
    ("feature", "value", "named"),
    [
        (PETS, 1, "dog"),
        (PETS, None, None),
        (PETS, -1, -1),
        (PETS, 7, 7),
        (datasets.List(PETS), [0, 1, None], ["cat", "dog", None]),
        ({"kind": PETS, "age": datasets.Value("int64")}, {"kind": 0, "age": 1}, {"kind": "cat", "age": 1}),
        ([{"kind": PETS}], [{"kind": 0}, {"kind": 1}], [{"kind": "cat"}, {"kind": "dog"}]),
    ],
)
def test_numbers_of_classes_become_their_names(feature, value, named):
    features = datasets.Features({"label": feature, "other": datasets.Value("int64")})
    found = features_of(features.arrow_schema)
    assert set(found) == {"label"}
    assert with_names(value, found["label"]) == named


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        b"",
        b"{",
        b"[]",
        b'{"info": 1}',
        b'{"info": {"features": [1]}}',
        b'{"info": {"features": {"label": null}}}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_names_nothing(metadata):
    schema = pa.schema([("label", pa.int64())])
    assert features_of(schema if metadata is None else schema.with_metadata({"huggingface": metadata})) == {}


@pytest.mark.parametrize("names", [None, 3, "ab", {"0": "a"}])
def test_names_that_are_no_list_name_nothing(names):
    described = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    schema = pa.schema([("label", pa.int64())]).with_metadata({"huggingface": json.dumps(described)})
    assert with_names(1, features_of(schema)["label"]) == 1
