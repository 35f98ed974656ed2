"""strace's word on what "acknowledged" means: the order of the real server's system calls, read by tests/e2e/strace.py."""

import json
import os
import re

import pytest

import strace
from disk import DiskCairn, Ledger, live

TRACED = ("write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,"
          "linkat,unlink,unlinkat,mkdir,mkdirat,openat,copy_file_range")
RENAMES, LINKS = ("rename", "renameat", "renameat2"), ("link", "linkat")
LONG = os.environ.get("CAIRN_TEST_DISK") == "long"


class Trace:
    """Questions to a trace."""

    def __init__(self, calls, data):
        self.all = calls
        self.data = str(data)
        self.syncs = [c for c in self.all if c.name in ("fsync", "fdatasync", "syncfs") and c.ok]

    def of(self, *names):
        return [c for c in self.all if c.name in names and c.ok]

    def synced(self, path, after, before):
        """Whether `path` was synced, begun after the line `after` and done before the line `before`."""
        return any(s.begin > after and s.end < before and (s.path == path or s.name == "syncfs") for s in self.syncs)

    def answers(self):
        """What was written to a socket and begins an answer of 200."""
        return [c for c in self.of("write", "writev", "sendto", "sendmsg")
                if "HTTP/1.1 200" in c.text and re.match(r"\d+<(TCP|socket)", c.text)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace")
    out, data = folder / "strace.txt", folder / "new" / "data"
    data.parent.mkdir()
    cairn = DiskCairn(data, prefix=strace.command(out, "-s", "200000", "-e", f"trace={TRACED}"))
    ledger = Ledger()
    try:
        assert live(cairn, ledger)
        ledger.settle(cairn)
        ledger.check(cairn)
        assert cairn.stop() == 0
    finally:
        cairn.kill()
    return Trace(strace.calls(strace.ended(out)), data), ledger


def test_no_answer_before_the_sync_that_covers_the_event(trace):
    trace, ledger = trace
    log = trace.data + "/log"
    writes = [c for c in trace.of("pwrite64", "pwritev", "pwritev2", "write") if c.path and c.path.startswith(log + "/")]
    names = {c.paths[-1]: c for c in trace.of(*RENAMES) if c.paths[-1].startswith(log + "/")}
    found, segments = set(), set()
    for answer in trace.answers():
        for name in re.findall(r'event_id\\":\\"(e\d+-\d+)\\"', answer.text):
            write = next(w for w in writes if re.search(rf'"{name}"', w.text.replace('\\"', '"')))
            assert write.end < answer.begin, (name, write, answer)
            assert trace.synced(write.path, write.end, answer.begin), f"{name} answered before its sync: {answer}"
            # The name of the segment, too.
            named = names[write.path]
            assert named.end < write.begin
            assert trace.synced(log, named.end, answer.begin), f"{write.path}: the folder was not synced after {named}"
            found.add(name)
            segments.add(write.path)
    assert found == set(ledger.acknowledged), "events whose answer was not found in the trace"
    assert len(segments) >= 3, "too few segments to show anything"
    # The header is on the disk before the segment has its name.
    for path, named in names.items():
        header = next(w for w in writes if w.path == named.paths[0] and "CAIRNLOG" in w.text)
        assert trace.synced(named.paths[0], header.end, named.begin), path


def test_the_names_of_new_folders_are_durable_before_the_first_answer(trace):
    trace, _ = trace
    first = min(a.begin for a in trace.answers() if "event_id" in a.text)
    names = trace.of(*RENAMES, *LINKS)
    folders = trace.of("mkdir", "mkdirat")
    outside = [c.paths[-1] for c in folders if c.begin < first and c.paths[-1] == trace.data]
    assert outside, "the data folder itself was made"
    derived = (trace.data + "/seen", trace.data + "/spill")
    objects = 0
    for call in folders:
        path = call.paths[-1]
        if path.startswith(derived) and path not in derived:
            continue  # may be thrown away at any time
        if path == derived[1]:
            continue
        before, what = first, "the first answer"
        if path.startswith(trace.data + "/store/"):
            # No answer speaks of an object that is just being put, for one of a new account, say, is put after the
            # answer: but its name rests on its folder's.
            inside = [n.begin for n in names if n.paths[-1].startswith(path + "/")]
            assert inside, f"{path} was made for nothing"
            before, what = min(inside), "the first name in it"
            objects += 1
        elif call.begin > first:
            continue
        parent = path.rpartition("/")[0]
        assert trace.synced(parent, call.end, before), f"{path} may vanish: {parent} was not synced before {what}"
    assert objects > 10, "too few folders of the store to show anything"


def test_files_before_the_entry_and_the_entry_before_what_rests_on_it(trace):
    trace, _ = trace
    store = trace.data + "/store"
    writes = [c for c in trace.of("write", "pwrite64", "writev", "copy_file_range") if c.path and c.path.startswith(store)]
    named = {c.paths[-1]: c for c in trace.of(*RENAMES, *LINKS) if c.paths[-1].startswith(store)}

    def durable_before(path, call):
        """The bytes before the name, the name before `call`."""
        name = named[path]
        last = max(w.end for w in writes if w.path == name.paths[0])
        assert last < name.begin and trace.synced(name.paths[0], last, name.begin), f"{path}: named before its bytes"
        folder = path.rpartition("/")[0]
        assert trace.synced(folder, name.end, call.begin), f"{path}: {folder} was not synced before {call}"

    entries = {p: c for p, c in named.items() if re.search(r"/_delta_log/\d{20}\.json$", p)}
    files = 0
    for path, entry in entries.items():
        assert entry.name in LINKS, "an entry is put only where none lies"
        text = "".join(w.text for w in writes if w.path == entry.paths[0])
        for file in re.findall(r'\\"path\\":\\"(ingest_date=[^"\\]+)\\"', text):
            durable_before(f"{path.partition('/_delta_log/')[0]}/{file}", entry)
            files += 1
    assert files >= 4, "too few files to show anything"
    history = {}
    for path, entry in entries.items():
        text = "".join(w.text for w in writes if w.path == entry.paths[0])
        if "/tables/history/" in path and (reached := re.search(r'\\"txn\\":{[^}]*\\"version\\":(\d+)', text)):
            history[path] = int(reached[1])
    # What rests on an entry. The log lets go of a segment: an entry that reaches the next one is durable.
    bases = sorted(int(c.paths[-1][-24:-4]) for c in trace.of(*RENAMES) if re.search(r"/log/\d{20}\.log$", c.paths[-1]))
    freed = [c for c in trace.of("unlink") if re.search(r"/log/\d{20}\.log$", c.paths[0])]
    assert freed, "the log let go of nothing"
    for call in freed:
        after = next(b for b in bases if b > int(call.paths[0][-24:-4]))
        covering = [p for p, reached in history.items() if reached >= after and entries[p].end < call.begin]
        assert covering, call
        durable_before(min(covering), call)
    # The answer to the flush, which is the last: every entry of history and of the trail.
    flush = max(trace.answers(), key=lambda a: a.begin)
    before = [p for p, e in entries.items() if e.end < flush.begin]
    assert len(before) >= 6
    for path in before:
        durable_before(path, flush)


@pytest.mark.parametrize("missing, check", [
    (r"/log/\d{20}\.log$", test_no_answer_before_the_sync_that_covers_the_event),
    (r"/log/\d{20}\.log\.new$", test_no_answer_before_the_sync_that_covers_the_event),
    (r"/log$", test_no_answer_before_the_sync_that_covers_the_event),
    (r"/data(/store(/.*)?)?$", test_the_names_of_new_folders_are_durable_before_the_first_answer),
    (r"\.parquet\.cairn-staged#\d+$", test_files_before_the_entry_and_the_entry_before_what_rests_on_it),
    (r"/ingest_date=[^/]+$", test_files_before_the_entry_and_the_entry_before_what_rests_on_it),
    (r"\.json\.cairn-staged#\d+$", test_files_before_the_entry_and_the_entry_before_what_rests_on_it),
    (r"/_delta_log$", test_files_before_the_entry_and_the_entry_before_what_rests_on_it),
])
def test_each_sync_that_is_left_out_is_missed(trace, missing, check):
    """The same trace without some of its syncs: the checks above have to fail."""
    trace, ledger = trace
    kept = [c for c in trace.all if not (c.name in ("fsync", "fdatasync", "syncfs") and c.path
                                         and re.search(missing, c.path))]
    assert len(kept) < len(trace.all)
    with pytest.raises(AssertionError):
        check((Trace(kept, trace.data), ledger))


def injected(tmp_path, name, fault, nth):
    """A life in which strace lets the `nth` call `name` of each thread on the log fail. The number of faults."""
    data, out = tmp_path / f"{name}-{fault}-{nth}" / "data", tmp_path / "strace.txt"
    data.parent.mkdir()
    out.unlink(missing_ok=True)
    only = [str(data / "log")] + [str(data / "log" / f"{n:020}.log{end}") for n in range(80) for end in ("", ".new")]
    what = "signal=SIGKILL" if fault == "KILL" else f"error={fault}"
    prefix = strace.command(out, *[a for path in only for a in ("-P", path)],
                            "-e", f"trace={name}", "-e", f"inject={name}:{what}:when={nth}",
                            stop_at_all=fault == "KILL")
    cairn, ledger = DiskCairn(data, prefix=prefix), Ledger()
    try:
        ready = live(cairn, ledger)
        if ready and cairn.alive() and fault != "KILL":
            # The N-th call of each thread: some come only now.
            ledger.settle(cairn, tries=5)
        by_itself = not cairn.alive()
        cairn.process.kill()
        code = cairn.process.wait(timeout=30)
        assert "panicked" not in cairn.log()
        if fault == "KILL":
            # The program's end is the fault: strace writes no more then.
            count = int(by_itself)
            assert code == -9
        else:
            # Of a killed program strace writes no end where it is told paths; the calls are there, each in its line.
            count = sum(c.injected for c in strace.calls(out.read_text(errors="replace")))
        after = DiskCairn(data)
        after.start()
        try:
            ledger.check(after, trail=False)
            ledger.settle(after)
            ledger.check(after)
        finally:
            after.kill()
        return count
    except BaseException:
        print(f"{name} {fault} when={nth}\n{cairn.log()[-3000:]}")
        raise
    finally:
        cairn.kill()


# The calls, and the one fault of the short form.
SHORT = {"fsync": "EIO", "fdatasync": "EIO", "pwrite64": "ENOSPC", "rename": "KILL", "openat": "ENOSPC"}


@pytest.mark.timeout(3600 if LONG else 420)
@pytest.mark.parametrize("name", SHORT)
def test_strace_injects_at_every_call_on_the_log(tmp_path, name):
    """`strace -e inject` counts each thread for itself: N = 1, 2, … until no thread has an N-th call."""
    counts = {}
    for fault in ("EIO", "ENOSPC", "KILL") if LONG else (SHORT[name],):
        nth = 1
        assert injected(tmp_path, name, fault, nth), f"{name} {fault}: nothing was injected"
        while LONG and injected(tmp_path, name, fault, nth := nth + 1):
            pass
        counts[fault] = nth - 1 if LONG else nth
    print(f"strace {name}: {json.dumps(counts)} schedules with a fault")
