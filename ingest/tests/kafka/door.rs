//! What Cairn's own doors write, and the way back.

use std::sync::Arc;

use bytes::Bytes;
use cairn_ingest::kafka::{ENVELOPE_HEADER, KafkaProducer, SendFailure};
use cairn_schemas::Micros;
use cairn_schemas::selector::Among;
use cairn_store::log::Envelope;
use rdkafka::message::{Header, OwnedHeaders};

use super::harness::*;

fn envelope(sender: &str) -> Envelope {
    Envelope {
        received: Micros(77),
        sender: sender.to_owned(),
        accounts: Among::Only(["123456789012".parse().unwrap()].into()),
        account: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a broker"]
async fn events_come_back_with_their_envelope() {
    let topic = unique("intake");
    let world = Arc::new(World::default());
    let mut options = options(&unique("g"), &[]);
    options.intake_topic = Some(topic.clone());
    let producer = KafkaProducer::open(&options, Arc::clone(&world.epochs) as _).unwrap();
    let missing = producer
        .send(&envelope("t1"), vec![Bytes::from("{}")], None)
        .await;
    let missing = missing.unwrap_err();
    assert!(
        matches!(&missing.results[..], [Err(SendFailure::Unavailable(_))]),
        "{missing}"
    );
    assert_eq!(producer.ensure_intake_topic(3).await.unwrap(), 3);
    assert_eq!(
        producer.ensure_intake_topic(5).await.unwrap(),
        3,
        "it is there"
    );
    let events: Vec<Bytes> = (0..5).map(|n| Bytes::from(event(n))).collect();
    let sent = producer
        .send(&envelope("t1"), events.clone(), Some(&[2, 9]))
        .await;
    let expected: Vec<_> = (0..5).map(|n| (partition(&topic, 2), n)).collect();
    assert_eq!(sent.unwrap(), expected);
    // Too large is that one event's fault.
    let mixed = vec![Bytes::from(event(7)), Bytes::from(vec![b'x'; 3 << 20])];
    let failed = producer
        .send(&envelope("t2"), mixed, Some(&[1]))
        .await
        .unwrap_err();
    assert_eq!(failed.results[0], Ok((partition(&topic, 1), 0)));
    assert_eq!(failed.results[1], Err(SendFailure::TooLarge));
    // Not from a door.
    produce_raw(&topic, None, Some(&event(8)), None).await;
    let forged = serde_json::to_vec(&envelope("cairn")).unwrap();
    let header = Header {
        key: ENVELOPE_HEADER,
        value: Some(&forged),
    };
    let headers = OwnedHeaders::new().insert(header);
    produce_raw(&topic, None, Some(&event(9)), Some(headers)).await;
    let mut member = Member::new(&world, &options);
    member.commit_every = usize::MAX;
    member
        .until("all is read", |m| {
            m.open.iter().map(|r| r.records.len()).sum::<usize>() == 8
        })
        .await;
    for received in &member.open {
        let reasons: Vec<_> = received
            .records
            .iter()
            .map(|r| r.refusal.as_ref().map(|r| r.reason.as_str()))
            .collect();
        match received.partition.number {
            2 => {
                assert_eq!(*received.envelope, envelope("t1"));
                let bytes: Vec<_> = received.records.iter().map(|r| r.bytes.clone()).collect();
                assert_eq!(bytes, events);
                // The envelope is told in other columns.
                assert!(
                    received
                        .records
                        .iter()
                        .all(|r| r.origin.as_ref().unwrap().headers.is_none())
                );
            }
            1 => assert_eq!(*received.envelope, envelope("t2")),
            _ => {
                assert_eq!(received.envelope.sender, format!("kafka:{topic}"));
                assert_eq!(reasons, [Some("no_envelope"), Some("no_envelope")]);
            }
        }
    }
}
