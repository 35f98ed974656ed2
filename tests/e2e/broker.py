"""A real Kafka broker, run by deploy/scripts/kafka, and producers that nobody here wrote."""

import json
import pathlib
import shutil
import subprocess
import time
import uuid

import kafka as kafka_python
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType, ConfigEntry,
    ConfigResource, NewPartitions, NewTopic, ResourcePatternType, ResourceType)

from cairn import ROOT, clean_environment

SCRIPT = ROOT / "deploy/scripts/kafka"

# Settings of a broker that lets nobody do anything without a grant, but for clients of the plain listener.
WITH_GRANTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}

# Bounds, so that nothing hangs for ever.
ACT_WITHIN = 60
START_WITHIN = 180

# The user of the SASL listeners.
USER, PASSWORD = "cairn", "a-test-secret"


class Broker:
    """One broker in a folder of its own. `with Broker(folder) as broker:` starts it and ends it."""

    def __init__(self, folder, secure=False, config=None):
        self.folder = pathlib.Path(folder)
        self.secure = secure
        self.config = dict(config or {})
        self.paused = False
        self._admin = None

    # -- its life ---------------------------------------------------------

    def _script(self, act, *arguments, within=START_WITHIN):
        done = subprocess.run(
            [SCRIPT, act, self.folder, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=clean_environment(), timeout=within, text=True)
        if done.returncode:
            raise RuntimeError(f"kafka {act} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout

    def start(self, config=None):
        """Starts it, on what is there; returns when it serves. `config` is kept for later starts."""
        settings = {**({} if (self.folder / "server.properties").exists() else self.config), **(config or {})}
        arguments = [part for key, value in settings.items() for part in ("--config", f"{key}={value}")]
        if self.secure and not (self.folder / "server.properties").exists():
            arguments += ["--secure", "--user", f"{USER}:{PASSWORD}"]
        self._script("start", *arguments)
        return self

    def stop(self):
        """Ends it in order."""
        self._script("stop")

    def kill(self):
        """kill -9."""
        self._script("kill")

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self._script("pause")

    def resume(self):
        """SIGCONT."""
        self._script("resume")

    def restart(self, hard=False, config=None):
        """Ends it (`hard`: kill -9) and starts it on the same data and the same ports."""
        self.kill() if hard else self.stop()
        return self.start(config)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self._admin = None
        self._script("remove")

    # -- facts ------------------------------------------------------------

    def address(self, listener="plain"):
        """host:port of a listener: plain, and of a secure broker sasl, tls, mtls, sasl_tls."""
        lines = (self.folder / "addresses").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)[listener]

    def log(self):
        """What the broker said since its last start."""
        return (self.folder / "broker.log").read_text(errors="replace")

    @property
    def tls(self):
        """The folder of ca.pem, client.pem, client.key, stranger.pem, stranger.key."""
        return self.folder / "tls"

    def client(self, listener="plain", mechanism="SCRAM-SHA-512", certificate="client", **more):
        """librdkafka's settings for a listener; dots in names are written as underscores."""
        # After a restart clients are to come back at once, not in ten seconds.
        settings = {"bootstrap.servers": self.address(listener), "log_level": 0, "reconnect.backoff.max.ms": 500}
        if listener.startswith("sasl"):
            settings |= {"sasl.mechanism": mechanism, "sasl.username": USER, "sasl.password": PASSWORD}
        if listener.endswith("tls"):
            settings["ssl.ca.location"] = str(self.tls / "ca.pem")
        if listener == "mtls":
            settings |= {"ssl.certificate.location": str(self.tls / f"{certificate}.pem"),
                         "ssl.key.location": str(self.tls / f"{certificate}.key")}
        settings["security.protocol"] = {
            "plain": "PLAINTEXT", "sasl": "SASL_PLAINTEXT", "tls": "SSL", "mtls": "SSL", "sasl_tls": "SASL_SSL",
        }[listener]
        return settings | {name.replace("_", "."): value for name, value in more.items()}

    # -- administration ---------------------------------------------------

    @property
    def admin(self):
        """confluent-kafka's administrator."""
        if self._admin is None:
            self._admin = AdminClient(self.client())
        return self._admin

    @staticmethod
    def _done(futures):
        return {key: future.result(ACT_WITHIN) for key, future in futures.items()}

    def create_topic(self, name=None, partitions=1, **config):
        """A new topic, ready for use, and its name. Dots in settings are written as underscores."""
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        topic = NewTopic(name, partitions, 1, config={k.replace("_", "."): str(v) for k, v in config.items()})
        end = time.monotonic() + ACT_WITHIN
        while True:
            try:
                self._done(self.admin.create_topics([topic]))
                break
            except KafkaException as error:
                # A deleted topic of that name may not be gone yet; a broker that had no
                # processor for some seconds is no broker to its controller for a moment.
                passing = ("TOPIC_ALREADY_EXISTS", "INVALID_REPLICATION_FACTOR")
                if error.args[0].name() not in passing or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.wait_partitions(name, partitions)
        return name

    def delete_topic(self, name):
        """Deletes it and returns when the broker knows it no more."""
        self._done(self.admin.delete_topics([name]))
        self.wait_partitions(name, 0)

    def grow_topic(self, name, partitions):
        """Raises the number of partitions."""
        self._done(self.admin.create_partitions([NewPartitions(name, partitions)]))
        self.wait_partitions(name, partitions)

    def wait_partitions(self, name, partitions):
        """Returns once the broker leads exactly so many partitions of the topic."""
        end = time.monotonic() + ACT_WITHIN
        while True:
            topic = self.admin.list_topics(timeout=ACT_WITHIN).topics.get(name)
            found = [] if topic is None or topic.error else list(topic.partitions.values())
            if len(found) == partitions and all(p.leader == 1 for p in found):
                return
            assert time.monotonic() < end, f"{name} has {len(found)} partitions, {partitions} were to be expected"
            time.sleep(0.05)

    def delete_records(self, name, partition, before):
        """Deletes the records below offset `before`, as retention would: the partition then begins there."""
        self._done(self.admin.delete_records([TopicPartition(name, partition, before)]))

    def configure_topic(self, name, **config):
        """Sets settings of a topic; dots are written as underscores."""
        entries = [ConfigEntry(k.replace("_", "."), str(v), incremental_operation=AlterConfigOpType.SET)
                   for k, v in config.items()]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._done(self.admin.incremental_alter_configs([resource]))

    def grant(self, operation, topic=None, group=None, user=None):
        """Lets a user (else the one of the SASL listeners) READ, WRITE, DESCRIBE… a topic or a group; `*` is all."""
        kind, name = (ResourceType.TOPIC, topic) if topic else (ResourceType.GROUP, group)
        wanted = (kind, name, ResourcePatternType.LITERAL, f"User:{user or USER}", "*",
                  AclOperation[operation], AclPermissionType.ALLOW)
        self._done(self.admin.create_acls([AclBinding(*wanted)]))
        # The broker takes it over a moment after the controller; it answers this from what it goes by.
        end = time.monotonic() + ACT_WITHIN
        while not self.admin.describe_acls(AclBindingFilter(*wanted)).result(ACT_WITHIN):
            assert time.monotonic() < end, f"the broker does not know of {wanted}"
            time.sleep(0.05)

    def bounds(self, name, partition=0):
        """The first offset there is, and the one that the next record gets."""
        consumer = Consumer(self.client(group_id="bounds"))
        try:
            return consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=ACT_WITHIN)
        finally:
            consumer.close()

    def committed(self, group, name, partition=0):
        """The offset that a consumer group has committed, or None."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(name, partition)])
        answer = self._done(self.admin.list_consumer_group_offsets([asked]))[group]
        offset = answer.topic_partitions[0].offset
        return offset if offset >= 0 else None

    def commit(self, group, name, offset, partition=0):
        """Sets what a group has committed, as an operator would who rewinds it."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(name, partition, offset)])
        self._done(self.admin.alter_consumer_group_offsets([asked]))

    # -- records ----------------------------------------------------------

    def read(self, name, partitions=1, isolation="read_committed", since=None, reset="earliest", **client):
        """All records there are now: a list of (partition, offset, key, value), by partition and offset."""
        settings = self.client(**client) | {
            "group.id": "reader-" + uuid.uuid4().hex, "isolation.level": isolation, "enable.partition.eof": True,
            "enable.auto.commit": False, "auto.offset.reset": reset}
        consumer = Consumer(settings)
        found, ended = [], set()
        try:
            # A consumer that is told its partitions says nothing of a topic that it may not read; this asks.
            fault = consumer.list_topics(name, timeout=ACT_WITHIN).topics[name].error
            if fault:
                raise KafkaException(fault)
            consumer.assign([TopicPartition(name, p, (since or {}).get(p, 0)) for p in range(partitions)])
            end = time.monotonic() + ACT_WITHIN
            while len(ended) < partitions:
                assert time.monotonic() < end, f"read {len(found)} records of {name}, not to its end"
                message = consumer.poll(0.5)
                if message is None:
                    continue
                if message.error():
                    if message.error().name() != "_PARTITION_EOF":
                        raise KafkaException(message.error())
                    ended.add(message.partition())
                    continue
                found.append((message.partition(), message.offset(), message.key(), message.value()))
        finally:
            consumer.close()
        return sorted(found, key=lambda record: record[:2])

    def values(self, name, partitions=1, **options):
        """The records' values alone."""
        return [record[3] for record in self.read(name, partitions, **options)]


# -- producers ------------------------------------------------------------
#
# Each takes a topic and its values (bytes, text, or what becomes JSON), sends
# them in order to one partition (0, or what `partition` says), and returns when
# the broker acknowledged all of them.


def as_bytes(value):
    """The bytes of a value: JSON unless it is bytes or text."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def confluent_produce(broker, topic, values, partition=0, key=None, headers=None, client=None, **settings):
    """confluent-kafka (librdkafka), idempotent, acks=all."""
    producer = Producer(broker.client(**(client or {})) | {
        "enable.idempotence": True, "acks": "all", "linger.ms": 5,
        **{name.replace("_", "."): value for name, value in settings.items()}})
    faults = []
    for value in values:
        while True:
            try:
                producer.produce(topic, as_bytes(value), key=key, partition=partition, headers=headers,
                                 on_delivery=lambda error, _: error and faults.append(error))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    left = producer.flush(ACT_WITHIN)
    assert not left and not faults, f"{left} records were not acknowledged; {faults[:3]}"


def kafka_python_produce(broker, topic, values, partition=0, key=None, headers=None, compression=None):
    """kafka-python, acks=all."""
    producer = kafka_python.KafkaProducer(
        bootstrap_servers=broker.address(), acks="all", linger_ms=5, compression_type=compression)
    try:
        sent = [producer.send(topic, as_bytes(value), key=key, partition=partition, headers=headers)
                for value in values]
        for future in sent:
            future.get(ACT_WITHIN)
    finally:
        producer.close(ACT_WITHIN)


def kcat_produce(broker, topic, values, partition=0, key=None, headers=(), compression=None):
    """kcat, the command-line tool, acks=all. One line is one record, so values hold no line break."""
    kcat = shutil.which("kcat")
    if kcat is None:
        raise RuntimeError("kcat is missing: install it with 'apt-get install kcat'")
    lines = [as_bytes(value) for value in values]
    assert all(b"\n" not in line and line for line in lines)
    arguments = [kcat, "-P", "-b", broker.address(), "-t", topic, "-p", str(partition),
                 "-X", "acks=all", "-X", "enable.idempotence=true"]
    arguments += ["-k", key.decode()] if key else []
    arguments += ["-z", compression] if compression else []
    for name, value in headers or ():
        arguments += ["-H", f"{name}={value.decode()}"]
    subprocess.run(arguments, input=b"\n".join(lines) + b"\n", check=True, env=clean_environment(),
                   timeout=ACT_WITHIN, stdout=subprocess.DEVNULL)


PRODUCERS = {"confluent-kafka": confluent_produce, "kafka-python": kafka_python_produce, "kcat": kcat_produce}


class Transactions:
    """A transactional producer: `with Transactions(broker) as t: t.commit(topic, […]); t.abort(topic, […])`."""

    def __init__(self, broker, name=None):
        self.producer = Producer(broker.client() | {
            "transactional.id": name or "tx-" + uuid.uuid4().hex, "linger.ms": 5})

    def __enter__(self):
        self.producer.init_transactions(ACT_WITHIN)
        return self

    def __exit__(self, *_):
        self.producer.flush(ACT_WITHIN)

    def begin(self, topic, values, partition=0):
        """Opens a transaction and gets the values written, so that they lie in the log undecided."""
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(topic, as_bytes(value), partition=partition)
        assert self.producer.flush(ACT_WITHIN) == 0

    def commit(self, topic, values, partition=0):
        """One committed transaction."""
        self.begin(topic, values, partition)
        self.producer.commit_transaction(ACT_WITHIN)

    def abort(self, topic, values, partition=0):
        """One aborted transaction, whose records and marker take up offsets."""
        self.begin(topic, values, partition)
        self.producer.abort_transaction(ACT_WITHIN)
