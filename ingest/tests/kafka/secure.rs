//! A broker of its own, which asks who one is, and which dies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cairn_ingest::kafka::{KafkaOptions, KafkaSecurity, Mechanism, Protocol, Secret};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::harness::*;

/// A broker in a folder of its own; removed when dropped.
struct Broker {
    folder: tempfile::TempDir,
    addresses: BTreeMap<String, String>,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut broker = Self {
            folder,
            addresses: BTreeMap::new(),
        };
        let told = broker.script("start", &["--secure", "--user", "cairn:geheim"]);
        for line in told.lines() {
            if let Some((name, address)) = line.split_once('=') {
                broker.addresses.insert(name.to_owned(), address.to_owned());
            }
        }
        broker
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("broker")
    }

    fn script(&self, act: &str, more: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/scripts/kafka");
        let done = Command::new(script)
            .arg(act)
            .arg(self.dir())
            .args(more)
            .output();
        let done = done.expect("deploy/scripts/kafka can be run");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "kafka {act}: {told}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn tls(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir().join("tls").join(name))
    }

    fn options(&self, listener: &str, topic: &str, security: KafkaSecurity) -> KafkaOptions {
        KafkaOptions {
            brokers: self.addresses[listener].clone(),
            security,
            ..options_for("", &unique("g"), &[topic])
        }
    }

    fn plain(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.addresses["plain"]);
        config
    }

    async fn produce(&self, topic: &str, from: usize, count: usize) {
        let producer: FutureProducer = self.plain().create().unwrap();
        for n in from..from + count {
            let value = event(n);
            let record = FutureRecord::<(), Vec<u8>>::to(topic)
                .partition(0)
                .payload(&value);
            producer.send(record, PATIENCE).await.unwrap();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script("remove", &[]);
    }
}

async fn reads(broker: &Broker, listener: &str, topic: &str, security: KafkaSecurity) {
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &broker.options(listener, topic, security));
    let what = format!("it is read by {listener}");
    member
        .until(&what, |m| m.world.history.lock().at(topic, 0) == 5)
        .await;
}

async fn refuses(broker: &Broker, listener: &str, topic: &str, security: KafkaSecurity) {
    let world = Arc::new(World::default());
    let mut member = Member::new(&world, &broker.options(listener, topic, security));
    let what = format!("{listener} refuses, and says so");
    member
        .until(&what, |m| m.handle.board().status().errors > 0)
        .await;
    assert_eq!(world.history.lock().rows, []);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts a broker"]
async fn it_proves_who_it_is_and_survives_a_broker_that_dies() {
    let broker = Broker::start();
    let admin: AdminClient<DefaultClientContext> = broker.plain().create().unwrap();
    let new = NewTopic::new("t", 1, TopicReplication::Fixed(1));
    let made = admin.create_topics([&new], &AdminOptions::new()).await;
    made.unwrap()[0].as_ref().unwrap();
    broker.produce("t", 0, 5).await;

    let sasl = |protocol, mechanism, password: &str| KafkaSecurity {
        protocol,
        mechanism: Some(mechanism),
        username: Some("cairn".to_owned()),
        password: Some(Secret(password.to_owned())),
        ..KafkaSecurity::default()
    };
    let over_tls = |mechanism, password| KafkaSecurity {
        ca_file: broker.tls("ca.pem"),
        ..sasl(Protocol::SaslSsl, mechanism, password)
    };
    let client = |certificate, key| KafkaSecurity {
        protocol: Protocol::Ssl,
        ca_file: broker.tls("ca.pem"),
        certificate_file: broker.tls(certificate),
        key_file: broker.tls(key),
        ..KafkaSecurity::default()
    };
    let clear = Protocol::SaslPlaintext;
    reads(
        &broker,
        "sasl",
        "t",
        sasl(clear, Mechanism::Plain, "geheim"),
    )
    .await;
    reads(
        &broker,
        "sasl",
        "t",
        sasl(clear, Mechanism::ScramSha256, "geheim"),
    )
    .await;
    reads(
        &broker,
        "sasl_tls",
        "t",
        over_tls(Mechanism::ScramSha512, "geheim"),
    )
    .await;
    reads(&broker, "mtls", "t", client("client.pem", "client.key")).await;
    refuses(
        &broker,
        "sasl_tls",
        "t",
        over_tls(Mechanism::ScramSha512, "falsch"),
    )
    .await;
    refuses(&broker, "mtls", "t", client("stranger.pem", "stranger.key")).await;
    let mut unknown = over_tls(Mechanism::ScramSha512, "geheim");
    unknown.ca_file = broker.tls("stranger.pem");
    refuses(&broker, "sasl_tls", "t", unknown).await;

    // The broker dies while a member reads, and comes back.
    let world = Arc::new(World::default());
    let options = broker.options("plain", "t", KafkaSecurity::default());
    let member = Member::new(&world, &options).spawn();
    wait("it is read", || world.history.lock().at("t", 0) == 5).await;
    broker.script("kill", &[]);
    broker.script("start", &[]);
    broker.produce("t", 5, 20).await;
    wait("it is read on", || world.history.lock().at("t", 0) == 25).await;
    assert_eq!(world.history.lock().offsets("t", 0), each(0, 25));
    drop(member);
}
