//! Where the topics end, for a process that need not read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_schemas::{Partition, Position};

use super::begin::{Topic, look, recognise};
use super::board::{KafkaBoard, StoppedReason};
use super::client::{Cluster, Context};
use super::epochs::{Epochs, topic_of};
use super::options::KafkaOptions;
use super::source::OpenError;
use super::topics::Rules;

/// Asks the cluster where logs end. Cheap to clone.
#[derive(Clone)]
pub struct KafkaEnds {
    pub(super) cluster: Arc<Cluster>,
    pub(super) epochs: Arc<dyn Epochs>,
    pub(super) rules: Arc<Rules>,
    pub(super) board: Arc<KafkaBoard>,
}

impl std::fmt::Debug for KafkaEnds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaEnds").finish_non_exhaustive()
    }
}

impl KafkaEnds {
    /// For the topics that `options` name. No broker is asked yet.
    ///
    /// # Errors
    ///
    /// Options that [`KafkaOptions::check`] refuses, files that are missing.
    pub fn open(options: &KafkaOptions, epochs: Arc<dyn Epochs>) -> Result<Self, OpenError> {
        let rules = Arc::new(options.check()?);
        let board = Arc::new(KafkaBoard::default());
        let context = Context {
            board: Arc::clone(&board),
        };
        let admin = options.admin_config().create_with_context(context);
        let admin = admin
            .map_err(|error: rdkafka::error::KafkaError| OpenError::Client(error.to_string()))?;
        Ok(Self {
            cluster: Arc::new(Cluster::new(admin, options)),
            epochs,
            rules,
            board,
        })
    }

    /// Where the log of every topic that is read ends now, by the name of its
    /// source: of all partitions. Records of transactions that are still open
    /// lie behind it.
    ///
    /// # Errors
    ///
    /// The cluster cannot be asked, or does not tell of every partition.
    pub async fn end(&self) -> Result<Position, String> {
        let mut end = Position::default();
        let topics = self.all_topics().await;
        // What went wrong lies in the client's queue, which nobody else reads.
        self.cluster.serve();
        for (name, topic) in topics.map_err(|error| self.board.explain(&error))? {
            for (number, extent) in &topic.extents {
                let extent = extent
                    .as_ref()
                    .map_err(|error| format!("kafka: partition {number} of {name}: {error}"))?;
                let partition = Partition {
                    source: topic.epoch.source(&name, *number),
                    number: *number,
                };
                end.advance(&partition, extent.end);
            }
        }
        Ok(end)
    }

    /// Why `partition`, with history at `committed` as a whole, is not
    /// read, for a process that does not own it: a gap, or a log that lost its
    /// end. `None` where the log says nothing against it.
    ///
    /// # Errors
    ///
    /// The cluster cannot be asked.
    pub async fn stop_of(
        &self,
        partition: &Partition,
        committed: &Position,
    ) -> Result<Option<StoppedReason>, String> {
        let (name, _) = topic_of(&partition.source);
        let asked = BTreeSet::from([name.to_owned()]);
        let mut topics = look(&self.cluster, self.epochs.as_ref(), &self.board, asked).await?;
        let asked = [(name.to_owned(), partition.number)];
        recognise(&self.cluster, &mut topics, &asked, committed).await?;
        let topic = topics.get(name);
        let topic = topic.filter(|t| t.epoch.source(name, partition.number) == partition.source);
        Ok(topic.and_then(|t| t.stop_of(partition, committed)))
    }

    async fn all_topics(&self) -> Result<BTreeMap<String, Topic>, String> {
        let (cluster, rules) = (Arc::clone(&self.cluster), Arc::clone(&self.rules));
        let names = tokio::task::spawn_blocking(move || cluster.topics(&rules));
        let names = names.await.map_err(|error| error.to_string())?;
        let names = names.map_err(|error| format!("kafka: {error}"))?;
        let names = names.into_keys().collect();
        look(&self.cluster, self.epochs.as_ref(), &self.board, names).await
    }
}
