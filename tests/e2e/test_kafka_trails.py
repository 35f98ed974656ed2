"""Several processes deliver to the same trails, and learn of each other's changes."""

import time
import uuid

from fleet import Book, Fleet, Load, compare, asked, seeded, short_or_long, wait_for
import independent

PARTITIONS = 4

# name -> (arguments, the same for independent.takes)
TRAILS = {
    "everything": ([], {}),
    "writes": (["--rw", "Write"], {"rw": "Write"}),
    "two_accounts": (["--accounts", "000000000001,000000000003"], {"accounts": {"000000000001", "000000000003"}}),
    "one_region": (["--regions", "cn-hangzhou"], {"regions": {"cn-hangzhou"}}),
}


def versions(member, name):
    """The trail's versions, oldest first, each with the offsets from which it holds."""
    return member.http("GET", f"/v1/trails/{name}", check=200).json()["versions"]


def judged(book, version_of):
    """The part of a book that a trail takes whose version depends on the place."""
    part = Book(book.topic)
    for seen in book.events():
        place = book.acknowledged[seen.id]
        filters = version_of(*place)
        if filters is not None and independent.takes(seen, **filters):
            part.acknowledged[seen.id] = place
            part.texts[seen.id] = book.texts[seen.id]
    return part


def test_22_each_trail_holds_what_its_filter_says_whoever_delivers(kafka, tmp_path):
    """Four trails, two processes; made through one, changed and stopped through the other; one is killed meanwhile."""
    chance = seeded()
    topic = kafka.create_topic(partitions=PARTITIONS)
    with Fleet(tmp_path / "fleet", kafka, [topic]) as fleet:
        one, two = fleet.member("one"), fleet.member("two")
        one.spawn(), two.spawn()
        one.wait_ready(), two.wait_ready()
        for name, (arguments, _) in TRAILS.items():
            one.trail(name, *arguments)
        load = Load(kafka, topic, PARTITIONS, chance)
        load.start()
        one.trail("changing", "--rw", "Write")
        one.trail("ending")
        for _ in range(short_or_long(1, 10)):
            time.sleep(1 + chance.random() * 2)
            wait_for(lambda: any(t["name"] == "changing" for t in two.cli_json("trail", "list")["trails"]),
                     "the second process does not learn of the trail")
            two.cli("trail", "update", "changing", "--rw", "All", "--regions", "eu-west-1")
            time.sleep(chance.random() * 2)
            one.kill()
            time.sleep(chance.random())
            one.start()
            two.cli("trail", "update", "changing", "--rw", "Write", "--regions", "all")
        two.cli("trail", "stop", "ending")
        time.sleep(chance.random())
        book = load.finish()
        one.flush()
        tables = {t["name"]: t["table"] for t in one.cli_json("trail", "list")["trails"]}
        for name, (_, filters) in TRAILS.items():
            fleet.check(book.taken(**filters), one, two, where=tables[name], table=f"trails.{name}")
        for name in ("changing", "ending"):
            known = versions(one, name)
            assert known == versions(two, name)

            def version_of(partition, offset, known=known):
                held = [v for v in known if v["effective"].get(f"{topic}/{partition}", 0) <= offset]
                return filters_of(held[-1]) if held else None

            wanted = judged(book, version_of)
            if name == "ending":
                assert 0 < len(wanted.acknowledged) < len(book.acknowledged), "it ended before or after everything"
            compare(wanted.places(), set(), fleet.places(topic, tables[name]))
            for member in (one, two):
                compare(wanted.places(), set(), asked(member, f"trails.{name}", topic))
        print(f"{len(book.acknowledged)} events, {len(versions(one, 'changing'))} versions")
        fleet.stop()


def filters_of(version):
    """What a version takes, for independent.takes; None where it takes nothing."""
    if version["status"] != "Enable":
        return None
    return {"rw": version["read_write"],
            "regions": None if version["regions"] == "all" else set(version["regions"]),
            "accounts": None if version["accounts"] == "all" else set(version["accounts"])}


def test_what_one_process_revokes_the_other_refuses(kafka, tmp_path):
    """Tokens, accounts and trails, made and taken back through one process, are known to the other soon."""
    with Fleet(tmp_path / "fleet", kafka, [kafka.create_topic()]) as fleet:
        one, two = fleet.start("one"), fleet.start("two")
        auditor = one.token("auditor", ["111111111111"], name="a-" + uuid.uuid4().hex[:4])

        def status():
            return two.ask("SELECT count(*) FROM history", token=auditor).status_code
        wait_for(lambda: status() == 200, "the other process does not learn of a token")
        tokens = one.http("GET", "/v1/tokens", check=200).json()["tokens"]
        wanted = next(t["id"] for t in tokens if (t["name"] or "").startswith("a-"))
        one.cli("token", "revoke", wanted)
        began = time.monotonic()
        wait_for(lambda: status() == 401, "a token that was revoked through one process opens the other", within=30)
        print(f"refused by the other after {time.monotonic() - began:.1f} s")
        two.http("POST", "/v1/trails", json={"name": "made_there", "start": True}, check=201)
        wait_for(lambda: one.http("GET", "/v1/trails/made_there").status_code == 200, "a trail is not known to the other")
        clash = one.http("POST", "/v1/trails", json={"name": "made_there"})
        assert clash.status_code == 409
        two.http("DELETE", "/v1/trails/made_there", check=204)
        wait_for(lambda: one.http("GET", "/v1/trails/made_there").status_code == 404, "a deleted trail lives on there")
        fleet.stop()
