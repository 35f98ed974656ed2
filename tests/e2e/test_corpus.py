"""Questions in the manner of CloudTrail Lake's and the log service's, over the real events."""

import datetime
import json
import re
import tomllib
from collections import Counter

import pytest

import independent
from cairn import ROOT
from corpus_answers import LAKE, LOG

CORPUS = ROOT / "tests" / "corpus"


def questions(name):
    return {key: q["sql"] for key, q in tomllib.loads((CORPUS / f"{name}.toml").read_text()).items()}


LAKE_SQL, LOG_SQL = questions("lake"), questions("log_service")


@pytest.fixture(scope="module")
def events(real_events):
    return independent.distinct(real_events)


def plain(cell):
    """Times as times, JSON in one spelling."""
    if isinstance(cell, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", cell):
        return datetime.datetime.fromisoformat(cell)
    if isinstance(cell, str) and cell[:1] in ("{", "["):
        return json.dumps(json.loads(cell), sort_keys=True)
    return cell


def compared(rows):
    return Counter(tuple(plain(cell) for cell in row) for row in rows)


def test_every_question_has_an_answer():
    assert set(LAKE_SQL) == set(LAKE) and set(LOG_SQL) == set(LOG)


@pytest.mark.parametrize("name", sorted(LAKE))
def test_lake(real, events, name):
    rows = [tuple(r.values()) for r in real.sql(LAKE_SQL[name])]
    wanted = LAKE[name](events)
    assert wanted
    assert compared(rows) == compared(wanted)


@pytest.mark.parametrize("name", sorted(LOG))
def test_log_service(real, events, name):
    rows = [tuple(r.values()) for r in real.sql(LOG_SQL[name])]
    wanted = LOG[name](events)
    if name == "keys":
        keys = {row[0] for row in wanted}
        rows = [row for row in rows if row[0] in keys]
    assert compared(rows) == compared(wanted)
