"""The command line on a real terminal (tmux): pager, progress bar, Ctrl-C, hostile values."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import time

import pytest

from cairn import binary, clean_environment, event

# A bound, so that nothing hangs for ever.
SEEN_WITHIN = 90
ESCAPES = "\x1b[31mRED\x1b]0;taken\x07 \x9b31m \u202eevil \u200b中文🔒\r\x08"


class Terminal:
    """A shell in a terminal of 110 by 30."""

    def __init__(self, folder, env):
        self.socket = str(folder / "tmux")
        environment = clean_environment(env)
        environment.update({"LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "HISTFILE": ""})
        for name in ("PAGER", "LESS", "TMUX"):
            environment.pop(name, None)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "30",
                  # Said here: the shell between does not hand a prompt on.
                  "exec env PS1='ready> ' bash --noprofile --norc", env=environment)
        self.see("ready> ")
        self.runs = 0

    def tmux(self, *arguments, env=None):
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *arguments], env=env,
                              capture_output=True, check=True, timeout=60)
        return done.stdout.decode(errors="replace")

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.press("Enter")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self, *more):
        """What stands there, with what scrolled away."""
        return self.tmux("capture-pane", "-p", "-J", *more)

    def see(self, pattern, *more, within=SEEN_WITHIN):
        """Waits until the screen has a match."""
        end = time.monotonic() + within
        while True:
            screen = self.screen(*more)
            found = re.search(pattern, screen)
            if found:
                return found
            assert time.monotonic() < end, f"{pattern!r} does not come:\n{screen}"
            time.sleep(0.05)

    def run(self, *arguments):
        """Types the command; `ended` reads its exit code."""
        self.tmux("clear-history")
        # Numbered: what the run before left may stand there for a while yet.
        self.runs += 1
        self.type("clear; " + shlex.join([str(binary()), *map(str, arguments)])
                  + f"; echo \"exit-{self.runs}=$?\"")

    def ended(self, within=SEEN_WITHIN):
        # The typed line has exit-1=$? and never exit-1=0.
        return int(self.see(rf"exit-{self.runs}=(\d+)", "-S", "-", within=within).group(1))

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def rows(shared):
    shared.post([event(f"row-{n:03d}", userAgent="ua") for n in range(200)])
    shared.post([event("hostile", userAgent=ESCAPES)])
    return shared


@pytest.fixture
def terminal(rows, tmp_path):
    opened = Terminal(tmp_path, {"CAIRN_URL": rows.url, "CAIRN_TOKEN": rows.admin})
    yield opened
    opened.close()


LONG = "SELECT event_id FROM history WHERE event_id LIKE 'row-%' ORDER BY event_id"
# More rows than anybody waits for; they come at once.
ENDLESS = "SELECT a.event_id FROM history a CROSS JOIN history b CROSS JOIN history c"
# Nothing comes for as long as the server lets it run.
SLOW = ("SELECT count(*) FROM history a, history b, history c, history d "
        "WHERE a.event_id || b.event_id <> c.event_id || d.event_id")


def test_a_long_answer_opens_the_pager_and_a_short_one_does_not(terminal):
    terminal.run("sql", LONG)
    terminal.see("row-000")
    assert "row-199" not in terminal.screen() and "exit-1=" not in terminal.screen()
    terminal.press("G")
    terminal.see("row-199")
    assert "exit-1=" not in terminal.screen(), "the pager did not stay"
    terminal.press("q")
    assert terminal.ended() == 0
    assert re.search(r"^200 rows$", terminal.screen(), re.M), terminal.screen()

    terminal.run("sql", "SELECT count(*) AS n FROM history WHERE event_id LIKE 'row-%'")
    assert terminal.ended() == 0
    assert re.search(r"\| 200 ", terminal.screen()), terminal.screen()

    terminal.run("sql", "--no-pager", LONG)
    assert terminal.ended() == 0
    assert "row-199" in terminal.screen()


def test_a_pager_of_ones_own_is_taken_and_one_that_is_missing_is_told(terminal, tmp_path):
    kept = tmp_path / "kept"
    terminal.run("sql", "--pager", f"cat > {kept}", LONG)
    assert terminal.ended() == 0
    assert "row-199" in kept.read_text()
    terminal.run("sql", "--pager", "no-such-pager", LONG)
    assert terminal.ended() == 1
    assert "--no-pager" in terminal.screen("-S", "-")


@pytest.mark.parametrize("form", ["table", "csv", "json", "ndjson"])
def test_values_do_not_drive_the_terminal(terminal, form):
    terminal.run("sql", "--format", form, "SELECT user_agent FROM history WHERE event_id = 'hostile'")
    assert terminal.ended() == 0
    screen = terminal.screen("-S", "-")
    assert "RED" in screen and "中文🔒" in screen
    assert re.search(r"u\{1b\}|u001b", screen), screen
    assert re.search(r"u\{202e\}|u202e", screen), screen
    coloured = terminal.screen("-e", "-S", "-")
    assert "\x1b[31m" not in coloured
    assert terminal.tmux("display-message", "-p", "#{pane_title}").strip() != "taken"
    if form == "table":
        frame = [line for line in screen.splitlines() if line.startswith(("|", "+"))]
        assert len(frame) >= 4 and all(line[-1] in "|+" for line in frame), screen


def test_ctrl_c_ends_a_question_that_computes(rows, terminal):
    """The server stops as well, and says so in the query's event."""
    terminal.run("sql", SLOW)
    # The handler stands before the question is sent; its event comes when it ends.
    wait_for_place(rows)
    terminal.press("C-c")
    assert terminal.ended() == 130
    assert "error: interrupted" in terminal.screen("-S", "-")
    told = ("SELECT error_code FROM history WHERE event_name = 'Query' AND service_name = 'cairn' "
            "AND request_parameters LIKE '%d.event_id%' AND request_parameters NOT LIKE '%LIKE%'")
    end = time.monotonic() + SEEN_WITHIN
    while rows.column(told) != ["canceled"]:
        assert time.monotonic() < end, rows.column(told)
        time.sleep(0.2)


def wait_for_place(rows):
    """Waits until a query runs in the server: its threads compute."""
    def spent():
        return sum(map(int, (pathlib.Path("/proc") / str(rows.process.pid) / "stat").read_text().split()[13:15]))
    ticks = os.sysconf("SC_CLK_TCK")
    before, end = spent(), time.monotonic() + SEEN_WITHIN
    while spent() < before + 2 * ticks:
        assert time.monotonic() < end, "the query does not run"
        time.sleep(0.05)


def test_ctrl_c_ends_rows_that_stream(terminal):
    terminal.run("sql", "--format", "csv", ENDLESS)
    terminal.see(r"(?m)^[\w-]+\s+^[\w-]+$")
    terminal.press("C-c")
    assert terminal.ended() == 130
    assert "error: interrupted" in terminal.screen("-S", "-")


def test_ctrl_c_in_the_pager_leaves_a_usable_terminal(terminal):
    terminal.run("sql", ENDLESS)
    terminal.see(r"\| [\w-]+ +\|")
    terminal.press("C-c")
    # `less -K` ends with it.
    assert terminal.ended() in (0, 130)
    terminal.type("clear; echo still-$((40 + 2))")
    terminal.see("still-42")


def test_progress_and_ctrl_c_while_events_are_sent(rows, terminal, tmp_path):
    count = 60_000
    file = tmp_path / "many.ndjson"
    with file.open("w") as out:
        for n in range(count):
            out.write(json.dumps(event(f"many-{n:06d}", userAgent="x" * 400)) + "\n")
    terminal.run("ingest", "--chunk-bytes", "400000", file)
    # A bar, bytes of all bytes, a rate, a count.
    terminal.see(r"(?m)[█░#>-]+ +[\d.]+ \w+/[\d.]+ MiB +[\d.]+ \w+/s +[1-9]\d* events")
    terminal.press("C-c")
    assert terminal.ended() == 130
    screen = terminal.screen("-S", "-")
    assert "error: interrupted" in screen
    assert "running the same command again is safe" in screen
    accepted = int(re.search(r"(\d+) accepted", screen).group(1))
    assert 0 < accepted < count

    terminal.run("ingest", file)
    assert terminal.ended(within=300) == 0
    said = re.search(r"(\d+) accepted, (\d+) duplicate, 0 refused", terminal.screen("-S", "-"))
    assert int(said.group(1)) + int(said.group(2)) == count
    assert int(said.group(2)) >= accepted
    assert rows.one("SELECT count(*) AS n FROM history WHERE event_id LIKE 'many-%'") == count
