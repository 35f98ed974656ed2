//! The lives of topics, which all processes of a store give the same names.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cairn_ingest::kafka::{Epoch, Epochs, EpochsError, Renewed, TopicId};
use cairn_schemas::Clock;
use cairn_schemas::control::{ControlKind, TopicLife};
use cairn_store::control::{ControlError, ControlStore};

/// The lives of topics, as control documents: every process gives a topic's
/// offsets the same name.
#[derive(Debug)]
pub(super) struct Lives {
    pub(super) control: ControlStore,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Epochs for Lives {
    async fn epoch_of(
        &self,
        topic: &str,
        id: TopicId,
        starts: Option<&BTreeMap<i32, i64>>,
    ) -> Result<Option<Epoch>, EpochsError> {
        let topic_id = format!("{:032x}", id.0);
        loop {
            let lives = self.lives(topic).await?;
            if let Some(epoch) = epoch(&lives, &topic_id) {
                return Ok(Some(epoch));
            }
            let Some(starts) = starts else {
                return Ok(None);
            };
            let life = TopicLife {
                version: lives.len() as u64 + 1,
                at: self.clock.now(),
                topic: topic.to_owned(),
                topic_id: topic_id.clone(),
                starts: starts.clone(),
                partition: None,
            };
            // Another process may meet it at the same time: what counts is read.
            self.put(life).await?;
        }
    }

    async fn renew(
        &self,
        topic: &str,
        id: TopicId,
        partition: i32,
        number: u32,
        start: i64,
    ) -> Result<(), EpochsError> {
        let topic_id = format!("{:032x}", id.0);
        loop {
            let lives = self.lives(topic).await?;
            let known = epoch(&lives, &topic_id);
            if known.is_none_or(|epoch| epoch.number_of(partition) != number) {
                return Ok(());
            }
            let life = TopicLife {
                version: lives.len() as u64 + 1,
                at: self.clock.now(),
                topic: topic.to_owned(),
                topic_id: topic_id.clone(),
                starts: BTreeMap::from([(partition, start)]),
                partition: Some(partition),
            };
            self.put(life).await?;
        }
    }
}

impl Lives {
    async fn lives(&self, topic: &str) -> Result<Vec<TopicLife>, EpochsError> {
        let known = self.control.load(ControlKind::Topic).await;
        let mut known: BTreeMap<String, Vec<TopicLife>> = known.map_err(failed)?;
        Ok(known.remove(topic).unwrap_or_default())
    }

    /// Writes `life`, unless another process wrote the same version meanwhile.
    async fn put(&self, life: TopicLife) -> Result<(), EpochsError> {
        let kind = ControlKind::Topic;
        let put = self.control.put(kind, &life.topic, life.version, &life);
        match put.await {
            Ok(()) | Err(ControlError::Conflict { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: ControlError) -> EpochsError {
    EpochsError(error.to_string())
}

/// What `lives` say of the topic with this id.
fn epoch(lives: &[TopicLife], topic_id: &str) -> Option<Epoch> {
    let number = |life: &TopicLife| u32::try_from(life.version).unwrap_or(u32::MAX);
    let of_id = || lives.iter().filter(|life| life.topic_id == topic_id);
    let whole = of_id().find(|life| life.partition.is_none())?;
    // The newest of a partition counts, and comes last.
    let renewed = of_id().filter_map(|life| {
        let partition = life.partition?;
        let start = life.starts.get(&partition).copied().unwrap_or(0);
        let number = number(life);
        Some((partition, Renewed { number, start }))
    });
    Some(Epoch {
        number: number(whole),
        starts: whole.starts.clone(),
        renewed: renewed.collect(),
    })
}
