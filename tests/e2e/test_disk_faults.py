"""The disk fails, or the process dies, at each call that changes the disk: what was acknowledged is there, once.

The short form takes a sample of the calls, the long form (`CAIRN_TEST_DISK=long`) every one of them:
N = 1, 2, 3 … until a run has no N-th call any more. `CAIRN_TEST_SEED` repeats a sample.
"""

import errno
import os
import random
import re
import shutil
import time
from collections import Counter

import pytest

from disk import DiskCairn, Ledger, live
from syscalls import Injector

LONG = os.environ.get("CAIRN_TEST_DISK") == "long"
SEED = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 30)))
SYNC = ("fsync", "fdatasync", "syncfs")
WRITE = ("write", "pwrite64", "writev", "pwritev2", "ftruncate", "copy_file_range")
NAMES = ("openat", "rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "unlink", "unlinkat")
# What is hit -> the calls, and where.
CLASSES = {
    "log-sync": (SYNC, "^/log"), "log-write": (WRITE, "^/log"), "log-names": (NAMES, "^/log"),
    "store-sync": (SYNC, "^/store"), "store-write": (WRITE, "^/store"), "store-names": (NAMES, "^/store"),
    "the-rest": (SYNC + WRITE + NAMES, "^(?!/log|/store)"),
}
FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "KILL": "KILL"}
APPEND = re.compile(r"^/log/\d{20}\.log$")


def used_folder(data, kept):
    """A copy, in `kept`, of the folder of a server that was killed with events in its log, and the book of them.
    It lived in `data`, where every run puts it back: trails keep their whole path."""
    data.parent.mkdir(parents=True)
    cairn, ledger = DiskCairn(data), Ledger()
    assert live(cairn, ledger)
    assert ledger.send(cairn, ledger.events(7)) == 200
    cairn.kill()
    # As a crash may leave it: half of a frame at the end.
    newest = sorted((data / "log").glob("*.log"))[-1]
    with open(newest, "ab") as file:
        file.write(b"CLFR" + b"\1" * 20)
    data.rename(kept)
    return kept, ledger


def copied(ledger):
    """A book of its own that goes on from `ledger`."""
    other = Ledger()
    other.sent, other.acknowledged = dict(ledger.sent), dict(ledger.acknowledged)
    other.delivered, other.count, other.before_trail = ledger.delivered, ledger.count, set(ledger.before_trail)
    return other


def begin(data, used):
    """The book of a new folder, or that of `used`, which it puts in place."""
    shutil.rmtree(data.parent, ignore_errors=True)
    data.parent.mkdir(parents=True)
    if used is None:
        return Ledger()
    shutil.copytree(used[0], data)
    return copied(used[1])


def one_schedule(folder, used, where, fault, nth):
    """One run with one fault. Whether the fault came at all."""
    names, pattern = CLASSES[where]
    data = folder / "data"
    ledger = begin(data, used)
    # A full disk stays full until there is room; the others strike once.
    injector = Injector(data, names, pattern, nth, FAULTS[fault], lasting=fault == "ENOSPC")
    cairn = DiskCairn(data, injector)
    if injector.lasting and where in ("log-sync", "log-write"):
        ledger.dead = lambda: injector.on and injector.injected > 0
    try:
        ready = live(cairn, ledger)
        injector.relent()
        if fault == "KILL":
            if injector.injected:
                assert cairn.process.wait(timeout=30) == -9
        elif ready:
            assert cairn.alive(), f"it ended with {cairn.process.returncode}:\n{cairn.log()[-3000:]}"
            ledger.settle(cairn)
            ledger.check(cairn)
        cairn.kill()
        injector.finish()
        judge(injector, cairn, fault)
        if not injector.injected:
            return False
        after = DiskCairn(data)
        after.start()
        try:
            ledger.check(after, trail=False)
            ledger.settle(after)
            ledger.check(after)
            assert after.stop() == 0
        finally:
            after.kill()
        return True
    except BaseException:
        print(f"{where} {fault} N={nth}: {[c for c in injector.calls if c.injected][:3]}\n{cairn.log()[-3000:]}")
        raise
    finally:
        cairn.kill()
        shutil.rmtree(folder, ignore_errors=True)


def judge(injector, cairn, fault):
    """What has to hold beside the book."""
    assert "panicked" not in cairn.log()
    hit = [i for i, call in enumerate(injector.calls) if call.injected]
    assert len(hit) == injector.injected
    if fault == "KILL" or not hit:
        return
    # A file of the log that failed once is never written or synced again.
    failed = set()
    for call in injector.calls:
        if call.name == "rename":
            failed.discard(call.path)
        elif call.name in ("pwrite64", "fdatasync", "fsync") and APPEND.match(call.path):
            assert call.path not in failed, f"{call} after it had failed"
            if call.injected:
                failed.add(call.path)


def counted(tmp_path, used):
    """How many calls of each class a run without a fault makes until its last answer."""
    data = tmp_path / "run" / "data"
    ledger = begin(data, used)
    injector = Injector(data)
    cairn = DiskCairn(data, injector)
    assert live(cairn, ledger)
    calls = list(injector.calls)
    cairn.kill()
    injector.finish()
    return {where: sum(c.name in names and re.search(pattern, c.path) is not None for c in calls)
            for where, (names, pattern) in CLASSES.items()}


@pytest.mark.timeout(4 * 3600 if LONG else 420)
@pytest.mark.parametrize("life", ["first", "second"])
def test_every_call_that_changes_the_disk(tmp_path, life):
    """reliability.md 44 to 48: EIO and the death once, a full disk until there is room."""
    used = used_folder(tmp_path / "run/data", tmp_path / "kept") if life == "second" else None
    only = os.environ.get("CAIRN_TEST_DISK_CLASS", "").split(",")
    done, began = Counter(), time.monotonic()
    plan = [(where, fault) for where in CLASSES for fault in FAULTS if only == [""] or where in only]
    if LONG:
        for where, fault in plan:
            nth = 1
            while one_schedule(tmp_path / "run", used, where, fault, nth):
                done[where, fault] += 1
                nth += 1
            assert nth > 1, f"{where} {fault}: not one fault was injected"
            print(f"{life} life, {where} {fault}: {nth - 1}", flush=True)
    else:
        print(f"seed {SEED}: CAIRN_TEST_SEED={SEED} repeats this sample")
        chance = random.Random(SEED * 2 + (life == "second"))
        calls = counted(tmp_path, used)
        # Every class with every fault, half of them in the first life and half in the second.
        for number, (where, fault) in enumerate(plan):
            if number % 2 == (life == "second"):
                continue
            most = calls[where]
            assert most > 0, where
            # A run may make fewer calls than the counted one: then an earlier one.
            while not one_schedule(tmp_path / "run", used, where, fault, nth := chance.randint(1, most)):
                assert nth > 1, f"{where} {fault}: not one fault was injected"
                most = nth - 1
            done[where, fault] += 1
    print(f"{life} life, {sum(done.values())} schedules in {time.monotonic() - began:.0f} s: "
          + ", ".join(f"{where} {fault} {n}" for (where, fault), n in done.items()))


@pytest.mark.parametrize("what", ["entry", "folder"])
def test_an_entry_whose_folder_could_not_be_synced_is_given_anew(tmp_path, what):
    """The entry is there and may not be on the disk: the log must not let go of what it covers before it is."""
    data = tmp_path / "data"
    # The third entry of history, after the empty table's and one commit; with "folder" every sync for a while.
    injector = Injector(data, ("fsync",), "^/store/tables/history/_delta_log$", 3, errno.EIO, lasting=what == "folder")
    cairn, ledger = DiskCairn(data, injector), Ledger()
    try:
        assert live(cairn, ledger)
        injector.relent()
        ledger.settle(cairn)
        ledger.check(cairn)
        cairn.kill()
        injector.finish()
    finally:
        cairn.kill()
    assert injector.injected > (what == "folder")
    first = next(i for i, call in enumerate(injector.calls) if call.injected)
    after = injector.calls[first + 1:]
    entry = "/store/tables/history/_delta_log/00000000000000000002.json"
    renamed = next(i for i, c in enumerate(after) if c.name.startswith("rename") and c.path == entry)
    synced = next(i for i, c in enumerate(after) if i > renamed and c.name == "fsync" and not c.injected
                  and c.path == "/store/tables/history/_delta_log")
    freed = next(i for i, c in enumerate(after) if c.name == "unlink" and re.match(r"/log/\d{20}\.log$", c.path))
    assert renamed < synced < freed, after[:60]
