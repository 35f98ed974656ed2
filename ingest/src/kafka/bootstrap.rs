//! Bringing a client back that has lost every broker.
//!
//! A cluster that comes back may answer, for a moment, with topics and without
//! brokers: a broker that was silent for seconds is fenced until its next sign of
//! life. librdkafka then drops all that it knows, and begins anew with
//! `bootstrap.servers`; but where another answer comes just then, it calls that off,
//! and never tries again (librdkafka 2.12.1, `rd_kafka_rebootstrap_tmr_stop`; told in
//! <https://github.com/confluentinc/librdkafka/issues/5301>). The client has no broker
//! from then on, and every question to it ends in vain, until somebody adds one. That
//! is done here. A client that was not lost takes no harm: what it knows already is
//! not added, and what it does not need is dropped with the next look at the cluster.

use std::ffi::CString;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::Instant;

use super::raw::add_brokers;

/// How long after an attempt by failed questions the next may follow, at first and at
/// the most; it doubles in between. librdkafka keeps each list that it is given.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);
/// So often in a row statistics have to show no broker. Between dropping the old ones
/// and adding those of the beginning there may be none for a moment.
const SEEN: u32 = 3;

/// See the module's documentation. One for each client.
pub(super) struct Bootstrap {
    brokers: CString,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failed questions: when the next attempt may be, and the pause after it.
    next: Option<(Instant, Duration)>,
    /// Statistics in a row without a broker.
    without: u32,
}

impl Bootstrap {
    /// `brokers` as in `bootstrap.servers`.
    pub(super) fn new(brokers: &str) -> Self {
        Self {
            // Options with a zero in them make no client.
            brokers: CString::new(brokers).unwrap_or_default(),
            state: Mutex::default(),
        }
    }

    /// Passes on what became of a question to `client`, and adds brokers to it where
    /// none could be asked.
    pub(super) fn heard<C: ClientContext, T>(
        &self,
        client: &Client<C>,
        answer: KafkaResult<T>,
    ) -> KafkaResult<T> {
        let error = answer.as_ref().err();
        let code = error.and_then(|error| error.rdkafka_error_code());
        if self.due(code.is_some_and(lost), Instant::now()) {
            tracing::debug!(
                ?code,
                "no kafka broker answers, asking the first ones again"
            );
            add_brokers(client, &self.brokers);
        }
        answer
    }

    /// Takes in whether the statistics of `client` show a broker.
    pub(super) fn seen<C: ClientContext>(&self, client: &Client<C>, broker: bool) {
        if self.gone(broker) {
            tracing::warn!(
                "a kafka client has lost all brokers, and is given the first ones again"
            );
            add_brokers(client, &self.brokers);
        }
    }

    fn due(&self, lost: bool, now: Instant) -> bool {
        let mut state = self.state.lock();
        if !lost {
            state.next = None;
            return false;
        }
        let pause = match state.next {
            Some((at, _)) if now < at => return false,
            Some((_, pause)) => pause,
            None => PAUSE,
        };
        state.next = Some((now + pause, (pause * 2).min(LONGEST)));
        true
    }

    fn gone(&self, broker: bool) -> bool {
        let mut state = self.state.lock();
        state.without = if broker { 0 } else { state.without + 1 };
        let gone = state.without == SEEN;
        if gone {
            state.without = 0;
        }
        gone
    }
}

/// Whether this error says that nobody was reached.
fn lost(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
    )
}

#[cfg(test)]
mod tests;
