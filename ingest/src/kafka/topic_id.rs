//! Topics' ids, which rdkafka's own interface does not tell. A topic that was
//! deleted and made anew has another one.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as rd;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;

/// A topic's id: 128 bits that the cluster made up when it made the topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// The ids of `topics`, or why one cannot be told, such as
/// `UnknownTopicOrPartition`. Blocks at most about `timeout`. A cluster
/// without topic ids (before Kafka 2.8) says 0 for each.
///
/// # Errors
///
/// No broker answered.
pub(super) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> KafkaResult<BTreeMap<String, Result<TopicId, RDKafkaErrorCode>>> {
    let names: Vec<CString> = topics
        .iter()
        .filter_map(|topic| CString::new(topic.as_str()).ok())
        .collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    if pointers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `client` outlives the call; the collection copies the names; the
    // request is given the queue, which lives until its answer was polled or
    // given up (librdkafka keeps a reference of its own while it needs one);
    // each object is destroyed once, after its last use.
    unsafe {
        let handle = client.native_ptr();
        let collection =
            rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = rd::rd_kafka_AdminOptions_new(
            handle,
            rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let mut text = [0; 64];
        rd::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis,
            text.as_mut_ptr(),
            text.len(),
        );
        let queue = rd::rd_kafka_queue_new(handle);
        rd::rd_kafka_DescribeTopics(handle, collection, options, queue);
        // A little longer than the request may take, so that its own answer
        // says why it failed.
        let event = rd::rd_kafka_queue_poll(queue, millis.saturating_add(1000));
        let answer = if event.is_null() {
            Err(KafkaError::MetadataFetch(
                RDKafkaErrorCode::OperationTimedOut,
            ))
        } else {
            let answer = read(event);
            rd::rd_kafka_event_destroy(event);
            answer
        };
        rd::rd_kafka_queue_destroy(queue);
        rd::rd_kafka_AdminOptions_destroy(options);
        rd::rd_kafka_TopicCollection_destroy(collection);
        answer
    }
}

/// # Safety
///
/// `event` is a live event.
unsafe fn read(
    event: *mut rd::rd_kafka_event_t,
) -> KafkaResult<BTreeMap<String, Result<TopicId, RDKafkaErrorCode>>> {
    // SAFETY: the event lives through the call; everything that it points to
    // belongs to it and is copied.
    unsafe {
        let code = rd::rd_kafka_event_error(event);
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::MetadataFetch(code.into()));
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Fail));
        }
        let mut count = 0;
        let list = rd::rd_kafka_DescribeTopics_result_topics(result, ptr::from_mut(&mut count));
        let mut ids = BTreeMap::new();
        for index in 0..count {
            let topic = *list.add(index);
            let name = CStr::from_ptr(rd::rd_kafka_TopicDescription_name(topic));
            let code = rd::rd_kafka_error_code(rd::rd_kafka_TopicDescription_error(topic));
            let id = if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                let id = rd::rd_kafka_TopicDescription_topic_id(topic);
                let high = rd::rd_kafka_Uuid_most_significant_bits(id) as u64;
                let low = rd::rd_kafka_Uuid_least_significant_bits(id) as u64;
                Ok(TopicId(u128::from(high) << 64 | u128::from(low)))
            } else {
                Err(code.into())
            };
            ids.insert(name.to_string_lossy().into_owned(), id);
        }
        Ok(ids)
    }
}
