"""Records of an audit as JSON, which has no tuples, no infinity and no NaN."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest

from audits import overlapping
from gdnp.datasets import Dataset
from gdnp.diagnose import Diagnosis, diagnose


@pytest.fixture(scope="module")
def found():
    return diagnose(overlapping(np.random.default_rng(0)))


def test_dictionary_is_what_json_gives_back(found):
    document = found.to_dict()
    assert document == json.loads(json.dumps(document, allow_nan=False))
    assert document.keys() == {field.name for field in fields(Diagnosis)}
    assert document["raw"]["iterations"]["metric"] == 1
    assert document["findings"] == list(found.findings)


def test_numbers_that_are_not_finite_become_none(found):
    raw = replace(found.raw, largest=-math.inf)
    document = replace(found, r=math.nan, offset=math.inf, raw=raw).to_dict()
    assert (document["r"], document["offset"], document["raw"]["largest"]) == (None, None, None)
    assert document["raw"]["smallest"] == found.raw.smallest


def test_what_two_rows_do_not_have_is_null():
    document = diagnose(Dataset("d", np.array([[1.0], [2.0]]), np.array([0, 1]))).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["along_u"] is None
