//! When the client that sends is replaced. No broker is needed: nothing is sent.
#![allow(unsafe_code)]

use rdkafka::bindings::{rd_kafka_resp_err_t, rd_kafka_test_fatal_error};

use super::*;
use crate::kafka::board::KafkaBoard;

fn renewed() -> Renewed {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", "127.0.0.1:1")
        .set("enable.idempotence", "true");
    let context = Context {
        board: Arc::new(KafkaBoard::default()),
    };
    Renewed::new(config, context).expect("a client")
}

#[tokio::test]
async fn a_client_with_a_fatal_error_is_replaced_at_once() {
    let renewed = renewed();
    let (first, now) = (renewed.sender(), Instant::now());
    renewed.note(&first, false, now, now);
    assert!(Arc::ptr_eq(&first, &renewed.sender()));
    // SAFETY: the client is alive, and the text ends with a zero.
    unsafe {
        rd_kafka_test_fatal_error(
            first.producer.client().native_ptr(),
            rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            c"desynchronized".as_ptr(),
        );
    }
    renewed.note(&first, false, now, now);
    let second = renewed.sender();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(second.producer.client().fatal_error().is_none());
    // Who still had the first changes nothing.
    renewed.note(&first, false, now, now);
    assert!(Arc::ptr_eq(&second, &renewed.sender()));
}

#[tokio::test]
async fn a_client_that_gets_nothing_acknowledged_is_replaced_after_a_while() {
    let renewed = renewed();
    let (first, start) = (renewed.sender(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    renewed.note(&first, false, at(0), at(20));
    // An acknowledgement begins the wait anew.
    renewed.note(&first, true, at(20), at(21));
    renewed.note(&first, false, at(21), at(41));
    renewed.note(&first, false, at(41), at(50));
    assert!(Arc::ptr_eq(&first, &renewed.sender()));
    renewed.note(&first, false, at(50), at(51));
    assert!(!Arc::ptr_eq(&first, &renewed.sender()));
}
