"""A data folder that was moved, or restored elsewhere, with its server stopped: it goes on there, and nowhere else."""

import json
import shutil

import pytest
from deltalake import DeltaTable

from cairn import SENT, event


@pytest.fixture
def moved(cairn, tmp_path):
    """Moves the folder of the server, which is stopped."""
    def move():
        old, new = cairn.data, tmp_path / "elsewhere" / "data"
        new.parent.mkdir()
        shutil.move(old, new)
        cairn.data = new
        return old

    return move


def delivered(cairn, table):
    """The ids in a trail's files, in order, repeats too."""
    rows = DeltaTable(table).to_pyarrow_table(columns=["event_id", "dialect"]).to_pylist()
    return sorted(r["event_id"] for r in rows if r["dialect"] != "cairn")


def place(cairn, trail):
    """Where it says that its table lies."""
    told = cairn.cli_json("trail", "show", trail)
    assert told["destination"]["url"] == told["table"]
    return told["table"]


@pytest.mark.parametrize("document", ["as written", "with the whole place"])
def test_a_trail_goes_on_where_the_folder_lies_now(cairn, moved, tmp_path, document):
    cairn.trail("writes")
    named = tmp_path / "named"
    cairn.trail("named", "--to", f"file://{named}")
    cairn.post([event(f"before-{n}") for n in range(3)])
    cairn.flush()
    first = place(cairn, "writes")
    assert first.startswith(f"file://{cairn.data}/store/tables/trails/writes-")
    cairn.stop()
    documents = [p for p in (cairn.data / "store/control/trail").rglob("*.json")
                 if json.loads(p.read_text())["name"] == "writes"]
    for path in documents:
        text = json.loads(path.read_text())
        assert text["destination"]["url"].startswith("store:tables/trails/writes-"), text
        assert str(tmp_path) not in path.read_text()
        if document == "with the whole place":
            # What Cairn wrote before it knew better.
            text["destination"]["url"] = first
            path.write_text(json.dumps(text))
    old = moved()
    cairn.start()
    cairn.post([event(f"after-{n}") for n in range(3)])
    cairn.flush()
    wanted = [f"after-{n}" for n in range(3)] + [f"before-{n}" for n in range(3)]
    assert place(cairn, "writes").startswith(f"file://{cairn.data}/store/tables/trails/writes-")
    assert place(cairn, "named") == f"file://{named}"
    for trail in ("writes", "named"):
        assert delivered(cairn, place(cairn, trail)) == wanted
        assert sorted(cairn.column(f'SELECT event_id FROM trails.{trail} WHERE {SENT}')) == wanted
    assert not old.exists(), "something was written to the old place"
    # A change of the trail keeps it where it is.
    cairn.cli("trail", "stop", "writes")
    cairn.restart()
    assert place(cairn, "writes").startswith(f"file://{cairn.data}/")
    assert not old.exists()


def test_the_old_place_is_left_alone_where_the_folder_was_copied(cairn, tmp_path):
    """A restored copy beside the original delivers into its own tables."""
    cairn.trail("everything")
    cairn.post(event("both"))
    cairn.flush()
    cairn.stop()
    original = cairn.data
    copy = tmp_path / "restored"
    shutil.copytree(original, copy)
    cairn.data = copy
    cairn.start()
    cairn.post(event("copy-alone"))
    cairn.flush()
    assert delivered(cairn, place(cairn, "everything")) == ["both", "copy-alone"]
    cairn.stop()
    cairn.data = original
    cairn.start()
    assert delivered(cairn, place(cairn, "everything")) == ["both"]
    assert cairn.column(f'SELECT event_id FROM trails.everything WHERE {SENT}') == ["both"]
