//! What `/metrics` tells: counts and times, never content, tokens or account
//! ids.

use std::time::Duration;

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Every metric of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests without a valid token.
    pub unauthenticated: IntCounter,
    /// Bytes of event bodies, as sent.
    pub received_bytes: IntCounter,
    /// Records by what became of them.
    pub records: IntCounterVec,
    /// Refused records by reason.
    pub quarantined: IntCounterVec,
    /// Events kept under an id that another event has.
    pub conflicts: IntCounter,
    /// Events that something was noticed of, by what.
    pub noticed: IntCounterVec,
    /// Commits by table and outcome.
    pub commits: IntCounterVec,
    /// How long history's commits take.
    pub commit_seconds: Histogram,
    /// Queries by outcome.
    pub queries: IntCounterVec,
    /// How long queries take.
    pub query_seconds: Histogram,
    /// Of Kafka.
    pub kafka: KafkaMetrics,
    /// The moment of the last commit to history, in seconds since 1970.
    pub last_commit: IntGauge,
    /// Bytes that queries have spilled.
    pub spilled_bytes: IntGauge,
    /// The log's next offset.
    pub log_end: IntGauge,
    /// Records that are durable and not judged yet.
    pub log_lag: IntGauge,
    /// The log's size on disk.
    pub log_bytes: IntGauge,
    /// Rows that are not in files yet.
    pub open_rows: IntGauge,
    /// Files by table kind.
    pub table_files: IntGaugeVec,
    /// Trails by state.
    pub trails: IntGaugeVec,
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let metric = IntCounter::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn float_gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<GaugeVec, prometheus::Error> {
    let metric = GaugeVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// What is told of Kafka, by partition.
#[derive(Debug)]
pub struct KafkaMetrics {
    /// From the timestamp of a record until SQL shows it.
    pub visible_seconds: Histogram,
    /// Records that history has not committed.
    pub lag: IntGaugeVec,
    /// Seconds that reading is behind.
    pub lag_seconds: GaugeVec,
    /// Where history stands.
    pub committed: IntGaugeVec,
    /// Whether it is stopped.
    pub stopped: IntGaugeVec,
}

impl KafkaMetrics {
    fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            visible_seconds: seconds(
                r,
                "cairn_kafka_visible_seconds",
                "From the timestamp of a Kafka record until SQL shows it.",
            )?,
            lag: gauges(
                r,
                "cairn_kafka_lag_records",
                "Records of a Kafka partition that history has not committed.",
                "partition",
            )?,
            lag_seconds: float_gauges(
                r,
                "cairn_kafka_lag_seconds",
                "Seconds that reading a Kafka partition is behind.",
                "partition",
            )?,
            committed: gauges(
                r,
                "cairn_kafka_committed_offset",
                "The next offset that history has not committed.",
                "partition",
            )?,
            stopped: gauges(
                r,
                "cairn_kafka_stopped",
                "1 where a Kafka partition is stopped; cairn source list says why.",
                "partition",
            )?,
        })
    }
}

impl Metrics {
    /// All of them, at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let r = Registry::new();
        Ok(Self {
            unauthenticated: counter(
                &r,
                "cairn_unauthenticated_requests_total",
                "Requests without a valid token.",
            )?,
            received_bytes: counter(
                &r,
                "cairn_received_bytes_total",
                "Bytes of event bodies, as sent.",
            )?,
            records: counters(
                &r,
                "cairn_records_total",
                "Records by what became of them.",
                "outcome",
            )?,
            quarantined: counters(
                &r,
                "cairn_quarantined_total",
                "Quarantined records by reason.",
                "reason",
            )?,
            noticed: counters(
                &r,
                "cairn_events_noticed_total",
                "Events taken in that something was noticed of, by what: a flag, or region_missing.",
                "what",
            )?,
            conflicts: counter(
                &r,
                "cairn_conflicting_duplicates_total",
                "Events kept under an id that another event has.",
            )?,
            commits: counters(
                &r,
                "cairn_history_commits_total",
                "Commits to history by outcome.",
                "outcome",
            )?,
            commit_seconds: seconds(
                &r,
                "cairn_history_commit_seconds",
                "Duration of commits to history.",
            )?,
            queries: counters(&r, "cairn_queries_total", "Queries by outcome.", "outcome")?,
            query_seconds: seconds(&r, "cairn_query_seconds", "Duration of queries.")?,
            spilled_bytes: gauge(
                &r,
                "cairn_query_spilled_bytes",
                "Bytes that queries which ended have written to temporary files, since the start.",
            )?,
            kafka: KafkaMetrics::new(&r)?,
            last_commit: gauge(
                &r,
                "cairn_history_last_commit_timestamp_seconds",
                "The moment of the last commit to history.",
            )?,
            log_end: gauge(
                &r,
                "cairn_log_end_offset",
                "The next offset of the embedded log.",
            )?,
            log_lag: gauge(
                &r,
                "cairn_log_lag_records",
                "Durable records that are not judged yet.",
            )?,
            log_bytes: gauge(&r, "cairn_log_bytes", "Bytes of the embedded log on disk.")?,
            open_rows: gauge(&r, "cairn_open_rows", "Rows that are not in files yet.")?,
            table_files: gauges(&r, "cairn_table_files", "Files that tables list.", "table")?,
            trails: gauges(&r, "cairn_trails", "Trails by state.", "state")?,
            registry: r,
        })
    }

    /// Counts a query that ended.
    pub fn query(&self, took: Duration, failed: Option<&str>) {
        self.queries
            .with_label_values(&[failed.unwrap_or("ok")])
            .inc();
        self.query_seconds.observe(took.as_secs_f64());
    }

    /// Counts events that never reached the log.
    pub fn refused_at_door(&self, count: usize) {
        self.records
            .with_label_values(&["refused"])
            .inc_by(count as u64);
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
