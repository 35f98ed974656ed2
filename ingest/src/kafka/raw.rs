//! The consumer's queue, event by event.
//!
//! rdkafka's own `poll` drops what an event says of its place: the end of a
//! partition comes without topic and offset, an error without its partition.
//! Both are needed here (positions move to an end, a fault stops one partition
//! and no other), so this module, and only this and `topic_id`, speaks to
//! librdkafka itself. Everything is copied out or borrowed from the event; no
//! pointer leaves the module.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::client::GroupConsumer;

/// The queue of one group consumer. One thread polls it, and nobody calls the
/// consumer's own `poll` meanwhile.
pub(super) struct EventQueue {
    queue: NonNull<rd::rd_kafka_queue_t>,
    /// Outlives the queue: fields are dropped after `Drop::drop` ran.
    consumer: Arc<GroupConsumer>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for EventQueue {}
// SAFETY: as above; every call takes the queue's own lock.
unsafe impl Sync for EventQueue {}

impl EventQueue {
    pub(super) fn new(consumer: Arc<GroupConsumer>) -> Option<Self> {
        // SAFETY: the handle is valid as long as `consumer` lives. What is
        // returned is a reference of our own, given back in `drop`.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        Some(Self {
            queue: NonNull::new(queue)?,
            consumer,
        })
    }

    pub(super) fn consumer(&self) -> &Arc<GroupConsumer> {
        &self.consumer
    }

    /// The next event, waiting for one at most `timeout`. `None` after that,
    /// and when [`EventQueue::wake`] was called.
    pub(super) fn poll(&self, timeout: Duration) -> Option<Polled> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is valid; the event is ours to destroy.
        let event = unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), millis) };
        NonNull::new(event).map(Polled)
    }

    /// Whether the group's coordinator knows this consumer, as far as that is
    /// heard of here.
    pub(super) fn is_member(&self) -> bool {
        let client = self.consumer.client().native_ptr();
        // SAFETY: the handle is valid as long as `consumer` lives; the name is
        // ours, and given back with the client's own allocator.
        unsafe {
            let name = rd::rd_kafka_memberid(client);
            let known = !name.is_null() && *name != 0;
            if !name.is_null() {
                rd::rd_kafka_mem_free(client, name.cast());
            }
            known
        }
    }

    /// Ends a `poll` that waits.
    pub(super) fn wake(&self) {
        // SAFETY: the queue is valid.
        unsafe { rd::rd_kafka_queue_yield(self.queue.as_ptr()) }
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given back once; the client
        // still lives, for `consumer` is dropped after this.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Has `client` connect to `brokers` as well (`host:port` and commas), where it does
/// not know them. See [`bootstrap`](super::bootstrap).
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, brokers: &CStr) {
    // SAFETY: the handle is valid as long as `client` lives; the text is copied.
    unsafe {
        rd::rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr());
    }
}

/// An event, destroyed when dropped.
pub(super) struct Polled(NonNull<rd::rd_kafka_event_t>);

impl Drop for Polled {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and nothing borrowed from it is left:
        // `Event` borrows `self`.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// A place in a log, and the leader epoch of the record before it, where that is
/// known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub(super) topic: &'p str,
    pub(super) partition: i32,
    pub(super) offset: Offset,
    pub(super) epoch: Option<i32>,
}

/// A list of `places` for librdkafka, with the epochs, which rdkafka's own list
/// does not take.
///
/// # Errors
///
/// An offset that is none.
pub(super) fn places<'p>(
    places: impl Iterator<Item = Place<'p>>,
) -> Result<TopicPartitionList, String> {
    let mut list = TopicPartitionList::new();
    for place in places {
        list.add_partition(place.topic, place.partition)
            .set_offset(place.offset)
            .map_err(|error| error.to_string())?;
        if let Some(epoch) = place.epoch
            && let Ok(topic) = CString::new(place.topic)
        {
            // SAFETY: the list is ours, and not used by others meanwhile; the
            // element belongs to it and was just added.
            unsafe {
                let element = rd::rd_kafka_topic_partition_list_find(
                    list.ptr(),
                    topic.as_ptr(),
                    place.partition,
                );
                if !element.is_null() {
                    rd::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
                }
            }
        }
    }
    Ok(list)
}

/// What an event says.
#[derive(Debug)]
pub(super) enum Event<'e> {
    /// A record.
    Message(Message<'e>),
    /// Every record of the partition below `offset` has been polled, and this
    /// is where the partition ended when it was looked at.
    End {
        topic: String,
        partition: i32,
        offset: i64,
    },
    /// Something is wrong with one partition.
    Fault {
        topic: String,
        partition: i32,
        offset: i64,
        code: RDKafkaErrorCode,
        text: String,
    },
    /// The group gives these partitions, or takes all away.
    Rebalance {
        assign: bool,
        partitions: Vec<(String, i32)>,
    },
    /// Something is wrong with the client.
    Error {
        code: RDKafkaErrorCode,
        text: String,
        fatal: bool,
    },
    /// Statistics as JSON.
    Stats(&'e [u8]),
    /// A line of librdkafka's log.
    Log { level: i32, text: String },
    /// Nothing of interest.
    Other,
}

/// One record, borrowed from its event.
#[derive(Debug)]
pub(super) struct Message<'e> {
    pub(super) topic: &'e str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The epoch of the leader that took it; brokers before 0.11 tell none.
    pub(super) epoch: Option<i32>,
    /// Milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<&'e [u8]>,
    pub(super) value: Option<&'e [u8]>,
    pub(super) headers: Vec<(String, Option<&'e [u8]>)>,
}

impl Polled {
    /// What it says.
    pub(super) fn read(&mut self) -> Event<'_> {
        let event = self.0.as_ptr();
        // SAFETY: the event is valid until `self` is dropped, which the
        // lifetime of what is returned forbids; each accessor is called for
        // the type that it belongs to only.
        unsafe {
            match rd::rd_kafka_event_type(event) {
                rd::RD_KAFKA_EVENT_FETCH => {
                    message(rd::rd_kafka_event_message_next(event)).unwrap_or(Event::Other)
                }
                rd::RD_KAFKA_EVENT_ERROR => error(event),
                rd::RD_KAFKA_EVENT_REBALANCE => rebalance(event),
                rd::RD_KAFKA_EVENT_STATS => {
                    let text = rd::rd_kafka_event_stats(event);
                    if text.is_null() {
                        Event::Other
                    } else {
                        Event::Stats(CStr::from_ptr(text).to_bytes())
                    }
                }
                rd::RD_KAFKA_EVENT_LOG => log(event),
                _ => Event::Other,
            }
        }
    }
}

/// # Safety
///
/// `text` is null or a C string.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the contract.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// # Safety
///
/// `data` is null or points to `len` bytes that live for `'e`.
unsafe fn slice<'e>(data: *const c_void, len: usize) -> Option<&'e [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: by the contract.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// # Safety
///
/// `message` is null or a message whose event lives for `'e`.
unsafe fn message<'e>(message: *const rd::rd_kafka_message_t) -> Option<Event<'e>> {
    // SAFETY: by the contract; the topic's name, the key, the value and the
    // headers live as long as the message.
    unsafe {
        let raw = message.as_ref()?;
        let topic = CStr::from_ptr(rd::rd_kafka_topic_name(raw.rkt))
            .to_str()
            .ok()?;
        if raw.err != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some(Event::Fault {
                topic: topic.to_owned(),
                partition: raw.partition,
                offset: raw.offset,
                code: raw.err.into(),
                text: owned(rd::rd_kafka_message_errstr(message)),
            });
        }
        let timestamp = rd::rd_kafka_message_timestamp(message, ptr::null_mut());
        let epoch = rd::rd_kafka_message_leader_epoch(message);
        Some(Event::Message(Message {
            topic,
            partition: raw.partition,
            offset: raw.offset,
            epoch: (epoch >= 0).then_some(epoch),
            timestamp: (timestamp >= 0).then_some(timestamp),
            key: slice(raw.key, raw.key_len),
            value: slice(raw.payload, raw.len),
            headers: headers(message),
        }))
    }
}

/// # Safety
///
/// `message` is a message whose event lives for `'e`.
unsafe fn headers<'e>(message: *const rd::rd_kafka_message_t) -> Vec<(String, Option<&'e [u8]>)> {
    let mut list = ptr::null_mut();
    let mut out = Vec::new();
    // SAFETY: by the contract; the list and what it points to belong to the
    // message, and each index is asked for once.
    unsafe {
        let code = rd::rd_kafka_message_headers(message, &mut list);
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return out;
        }
        for index in 0..rd::rd_kafka_header_cnt(list) {
            let (mut name, mut value, mut len) = (ptr::null(), ptr::null(), 0);
            let code = rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut len);
            if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            out.push((owned(name), slice(value, len)));
        }
    }
    out
}

/// # Safety
///
/// `event` is an error event.
unsafe fn error<'e>(event: *mut rd::rd_kafka_event_t) -> Event<'e> {
    // SAFETY: by the contract; the partition is ours and destroyed here.
    unsafe {
        let code = RDKafkaErrorCode::from(rd::rd_kafka_event_error(event));
        let text = owned(rd::rd_kafka_event_error_string(event));
        let fatal = rd::rd_kafka_event_error_is_fatal(event) != 0;
        let place = rd::rd_kafka_event_topic_partition(event);
        let Some(at) = place.as_ref() else {
            return Event::Error { code, text, fatal };
        };
        let (topic, partition, offset) = (owned(at.topic), at.partition, at.offset);
        rd::rd_kafka_topic_partition_destroy(place);
        if code == RDKafkaErrorCode::PartitionEOF {
            Event::End {
                topic,
                partition,
                offset,
            }
        } else {
            Event::Fault {
                topic,
                partition,
                offset,
                code,
                text,
            }
        }
    }
}

/// # Safety
///
/// `event` is a rebalance event.
unsafe fn rebalance<'e>(event: *mut rd::rd_kafka_event_t) -> Event<'e> {
    // SAFETY: by the contract; the list belongs to the event and is copied.
    unsafe {
        let assign = rd::rd_kafka_event_error(event)
            == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let mut partitions = Vec::new();
        if let Some(list) = rd::rd_kafka_event_topic_partition_list(event).as_ref() {
            for index in 0..usize::try_from(list.cnt).unwrap_or(0) {
                let element = &*list.elems.add(index);
                partitions.push((owned(element.topic), element.partition));
            }
        }
        Event::Rebalance { assign, partitions }
    }
}

/// # Safety
///
/// `event` is a log event.
unsafe fn log<'e>(event: *mut rd::rd_kafka_event_t) -> Event<'e> {
    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: by the contract; the strings belong to the event and are copied.
    unsafe {
        if rd::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) != 0 {
            return Event::Other;
        }
        Event::Log {
            level,
            text: format!("{}: {}", owned(facility), owned(text)),
        }
    }
}
