"""What Kafka has to allow, as docs/kafka.md lists it, and what Cairn says of a topic that it may not read."""

import pytest

from broker import WITH_GRANTS, Broker, confluent_produce
from cairn import event
from fleet import wait_for
from test_kafka_http import SECURE, secure_fleet


@pytest.mark.timeout(300)
def test_what_is_documented_is_enough_and_a_topic_that_may_not_be_read_says_so(folders, tmp_path):
    with Broker(folders("kafka-with-grants"), secure=True, config=WITH_GRANTS) as broker:
        topic, shut = broker.create_topic(), broker.create_topic()
        for name in (topic, shut):
            confluent_produce(broker, name, [event(f"{name}-{n}") for n in range(5)])
        arguments, env = SECURE["sasl"]
        with secure_fleet(broker, tmp_path / "fleet", topic, "sasl", [*arguments, "--topic", shut], env) as fleet:
            broker.create_topic(fleet.intake)
            for operation in ("READ", "DESCRIBE"):
                broker.grant(operation, topic=topic)
                broker.grant(operation, group=fleet.group)
                broker.grant(operation, topic=fleet.intake)
            broker.grant("WRITE", topic=fleet.intake)
            # The group's, and where its log begins and ends; not what is in it.
            broker.grant("DESCRIBE", topic=shut)
            one = fleet.start("one")
            assert one.post(event("by-http"))["accepted"] == 1
            count = f"SELECT count(*) AS n FROM history WHERE log_source = '{topic}'"
            wait_for(lambda: one.sql(count) == [{"n": 5}], "the topic is not read")
            # A static member looks once who was given what.
            assert "given this to nobody" not in one.log()
            name = f"{shut}/0"
            part = wait_for(lambda: (p := one.partition(name)) and p["state"] == "stopped" and p,
                            lambda: f"not told: {one.kafka()}")
            assert "uthorization" in part["reason"] and part["what_to_do"], part
            # Nothing was lost, so there is nothing to accept.
            # Now and then it is tried again, and reads until it is refused once more.
            answers = []

            def refused():
                answers.append(one.http("POST", "/v1/sources/accept", json={"partition": name, "offset": 0}))
                return answers[-1].json()["error"]["code"] == "not_acceptable"

            wait_for(refused, lambda: f"accepting is not refused as such: {answers[-1].text}")
            fault = answers[-1].json()["error"]
            assert answers[-1].status_code == 409, answers[-1].text
            assert "accepting does not help" in fault["message"] and fault["hint"], fault
            wait_for(lambda: "accepting does not help" in one.cli("source", "accept", name, 0, codes=(1,)).err,
                     "the command does not tell it")
            # Once it may be read it goes on by itself.
            broker.grant("READ", topic=shut)
            count = f"SELECT count(*) AS n FROM history WHERE log_source = '{shut}'"
            wait_for(lambda: one.sql(count) == [{"n": 5}], "it does not go on")
            assert one.stop() == 0
