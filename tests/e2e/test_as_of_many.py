"""Answers that are had again from another process: Kafka in, one bucket, files merged meanwhile."""

import time

from fleet import ACCOUNTS, PATIENT, QUICK, Fleet, Load, seeded, short_or_long, wait_for
from test_kafka_s3 import bucket

pytestmark = PATIENT

PARTITIONS = 4
MERGING = [*QUICK, "--history-compaction-interval", "1s"]

QUESTIONS = [
    "SELECT event_id, log_partition, log_offset FROM history WHERE dialect <> 'cairn' ORDER BY 1, 2, 3",
    "SELECT account_id, count(*), min(event_id), max(event_id) FROM history WHERE dialect <> 'cairn' GROUP BY 1 ORDER BY 1",
    "SELECT event_id FROM trails.writes WHERE dialect <> 'cairn' ORDER BY 1",
    "SELECT h.event_id FROM history h JOIN trails.everything t ON h.event_id = t.event_id WHERE h.dialect <> 'cairn' ORDER BY 1",
    "SELECT count(*) FROM history",
]


def ask(member, token, sql, as_of=None):
    body = {"query": sql, **({"as_of": as_of} if as_of else {})}
    return member.http("POST", "/v1/sql", token=token, json=body)


def again(member, token, sql, told):
    """The answer over a state that was told elsewhere, once this process has read as far."""
    def answer():
        given = ask(member, token, sql, told)
        assert given.status_code in (200, 503), given.text
        return given.status_code == 200 and given.json()
    return wait_for(answer, lambda: f"{member.data.name} does not come as far: {ask(member, token, sql, told).text}")


class Answers:
    """What was answered, by whom, to whom, and over what."""

    def __init__(self, tokens):
        self.tokens, self.kept = tokens, []

    def take(self, member, chance):
        for name, token in self.tokens.items():
            sql = chance.choice(QUESTIONS)
            answer = ask(member, token, sql)
            assert answer.status_code == 200, answer.text
            self.kept.append((name, sql, answer.json()["rows"], answer.json()["versions"]))

    def check(self, *members):
        for member in members:
            for name, sql, rows, versions in self.kept:
                given = again(member, self.tokens[name], sql, versions)
                assert given["rows"] == rows, (member.data.name, name, sql)
                assert given["versions"] == versions


def merged(fleet):
    return sum(m.log().count("small files were merged") for m in fleet.members.values())


def test_answers_are_had_again_from_another_process(kafka, versitygw, tmp_path):
    chance = seeded()
    topic = kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", kafka, [topic], **bucket(versitygw), arguments=MERGING) as fleet:
        for name in ("one", "two"):
            fleet.member(name).spawn()
        one, two = (fleet.members[n] for n in ("one", "two") if fleet.members[n].wait_ready() is None)
        one.trail("writes", "--rw", "Write")
        one.trail("everything")
        tokens = {"all": fleet.admin, "two accounts": one.token("auditor", ACCOUNTS[:2])}
        def known():
            return all(two.http("GET", "/v1/whoami", token=t).status_code == 200 for t in tokens.values()) \
                and all(ask(two, fleet.admin, sql).status_code == 200 for sql in QUESTIONS)
        wait_for(known, "the other process does not know of trails and tokens")
        answers = Answers(tokens)
        load = Load(kafka, topic, PARTITIONS, chance)
        load.start()
        for _ in range(short_or_long(6, 40)):
            # Between the two nobody waits: what was read and not committed yet is in the answers.
            time.sleep(chance.random())
            answers.take(chance.choice((one, two)), chance)
        before = merged(fleet)
        # At once, while events go on to come.
        answers.check(one, two)
        book = load.finish()
        wait_for(lambda: merged(fleet) > before, "no files were merged since")
        fleet.check(book, one, two)
        answers.check(one, two)
        print(f"{len(answers.kept)} answers, {len(book.acknowledged)} events, {merged(fleet)} mergings")
        # A process that was not there then, and those that were, after their ends.
        three = fleet.start("three")
        answers.check(three)
        one.kill()
        two.stop()
        answers.check(three)
        one.start()
        answers.check(one)
        # A state says nothing to who may not read all: not even another process tells how far it reaches.
        for name, _, _, versions in answers.kept:
            for told in versions.values():
                assert isinstance(told, str) and told.startswith("sealed:") if name != "all" else "reach" in told
        two.start()
        fleet.stop()
