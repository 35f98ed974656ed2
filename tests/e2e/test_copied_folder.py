"""A data folder that is not the one in use: copied, moved, restored.

Processes that share a store know each other's logs by names that lie in their data folders. Two folders with one
name give the same places to different events.
"""

import shutil

import pytest

from cairn import SENT, Cairn, event
from fleet import wait_for

# What is acknowledged stays in the log alone until somebody flushes.
SELDOM = ["--history-commit-interval", "1h"]


@pytest.fixture
def store(tmp_path):
    """The store that processes share, and those that run on it."""
    (tmp_path / "store").mkdir()
    processes = []

    def process(name, *arguments):
        made = Cairn(tmp_path / name, arguments=["--store", f"file://{tmp_path}/store", *SELDOM, *arguments])
        processes.append(made)
        return made

    yield process
    for made in processes:
        made.kill()


def ids(cairn):
    """The ids of all events that were sent, in order, repeats too."""
    return sorted(cairn.column(f"SELECT event_id FROM history WHERE {SENT}"))


def copy(old, new):
    """The folder as it lies there, while its process runs."""
    shutil.copytree(old.data, new.data)


def test_of_two_on_copies_of_one_folder_the_older_ends(store):
    old, new = store("old"), store("new")
    old.start()
    old.post([event(f"committed-{n}") for n in range(3)])
    old.flush()
    old.post([event(f"in-both-{n}") for n in range(3)])
    copy(old, new)
    old.post([event(f"in-the-old-{n}") for n in range(3)])
    new.start()
    assert old.process.wait(timeout=60) not in (0, None)
    said = old.log()
    assert "was copied" in said and "has to be sent again" in said, said[-2000:]
    # What the new one holds is in its history, and it goes on at places of its own.
    new.post([event(f"in-the-new-{n}") for n in range(9)])
    new.flush()
    wanted = sorted([f"{where}-{n}" for where in ("committed", "in-both") for n in range(3)]
                    + [f"in-the-new-{n}" for n in range(9)])
    assert ids(new) == wanted
    # Sent again, what the old one alone held comes in; its own folder does not any more.
    with pytest.raises(RuntimeError, match="is a copy, or was restored.*empty --data"):
        old.start()
    new.post([event(f"in-the-old-{n}") for n in range(3)])
    new.flush()
    assert ids(new) == sorted([*wanted, *(f"in-the-old-{n}" for n in range(3))])
    assert new.stop() == 0
    new.start()
    assert len(ids(new)) == 18


def test_a_data_folder_of_yesterday_is_refused(store, tmp_path):
    """Restored while the store went on: even where the log lacks nothing, it was started since."""
    cairn = store("data")
    cairn.start()
    cairn.post(event("yesterday"))
    cairn.flush()
    cairn.stop()
    shutil.copytree(cairn.data, tmp_path / "backup")
    cairn.start()
    cairn.post(event("today"))
    cairn.flush()
    cairn.stop()
    shutil.move(cairn.data, tmp_path / "in-use")
    shutil.copytree(tmp_path / "backup", cairn.data)
    with pytest.raises(RuntimeError, match="is a copy, or was restored"):
        cairn.start()
    # The one that was in use last goes on, under whatever name.
    cairn.data = tmp_path / "in-use"
    cairn.start()
    assert ids(cairn) == ["today", "yesterday"]


def test_a_log_that_ends_before_history_is_refused(store, tmp_path):
    """Restored to a moment since its last start: only the offsets tell."""
    cairn = store("data")
    cairn.start()
    cairn.post(event("before"))
    cairn.flush()
    shutil.copytree(cairn.data, tmp_path / "backup")
    cairn.post([event(f"after-{n}") for n in range(20)])
    cairn.flush()
    cairn.kill()
    shutil.rmtree(cairn.data)
    shutil.copytree(tmp_path / "backup", cairn.data)
    with pytest.raises(RuntimeError, match="the folder log/ is older than the tables"):
        cairn.start()


def test_the_same_folder_starts_again_however_it_ended(store):
    cairn = store("data")
    cairn.start()
    for n in range(4):
        cairn.post(event(f"e-{n}"))
        cairn.restart(hard=n % 2 == 0)
    cairn.flush()
    assert ids(cairn) == [f"e-{n}" for n in range(4)]
