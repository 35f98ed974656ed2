//! What the source must be told by others: which life of a topic an id is, and
//! which gaps an administrator has accepted.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cairn_schemas::Partition;
use parking_lot::Mutex;

use super::board::Acceptable;
use super::topic_id::TopicId;

/// One life of a topic, from its making to its deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// 1 for the first id that was seen under the topic's name, and so on.
    pub number: u32,
    /// Where each partition's log began when this id was first seen. A
    /// partition that is not named came later, and began at 0.
    pub starts: BTreeMap<i32, i64>,
    /// Partitions whose logs lost their ends and gave the same offsets to other
    /// records: those have a number of their own since.
    pub renewed: BTreeMap<i32, Renewed>,
}

/// One partition's later life, in a topic that lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Counted on with those of the whole topic.
    pub number: u32,
    /// The first offset that is of this life.
    pub start: i64,
}

impl Epoch {
    /// The name of the source of `partition`: `topic`, and `topic@n` from the
    /// second life on. No topic's name has an `@`.
    pub fn source(&self, topic: &str, partition: i32) -> String {
        match self.number_of(partition) {
            0 | 1 => topic.to_owned(),
            n => format!("{topic}@{n}"),
        }
    }

    /// The number of `partition`'s life.
    pub fn number_of(&self, partition: i32) -> u32 {
        let renewed = self.renewed.get(&partition);
        renewed.map_or(self.number, |renewed| renewed.number)
    }

    /// Where `partition`'s life began, where that is known.
    pub fn start_of(&self, partition: i32) -> Option<i64> {
        let renewed = self.renewed.get(&partition).map(|renewed| renewed.start);
        renewed.or_else(|| self.starts.get(&partition).copied())
    }
}

/// The topic of a source's name, and its epoch.
pub fn topic_of(source: &str) -> (&str, u32) {
    match source.rsplit_once('@') {
        Some((topic, number)) => match number.parse() {
            Ok(number) => (topic, number),
            Err(_) => (source, 1),
        },
        None => (source, 1),
    }
}

/// The epochs could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the epochs of topics cannot be read: {0}")]
pub struct EpochsError(pub String);

/// Knows every id that a topic ever had, across all processes.
#[async_trait]
pub trait Epochs: Send + Sync + std::fmt::Debug {
    /// The epoch of `topic`'s life `id`. For an id that nobody has seen yet the
    /// next number is taken, and `starts` kept with it, durably and once for
    /// all processes: whoever comes second gets what the first one wrote.
    /// Without `starts` (one partition's broker does not answer) nothing is
    /// taken, and `None` is the answer for an id that nobody has seen yet.
    ///
    /// # Errors
    ///
    /// Where that cannot be read or written now. The caller tries again.
    async fn epoch_of(
        &self,
        topic: &str,
        id: TopicId,
        starts: Option<&BTreeMap<i32, i64>>,
    ) -> Result<Option<Epoch>, EpochsError>;

    /// Begins another life of one partition of the topic whose id is `id`, which
    /// `epoch_of` knows: from `start` on. Nothing is done where its life is not
    /// `number` any more: another process was faster.
    ///
    /// # Errors
    ///
    /// Where that cannot be read or written now. The caller tries again.
    async fn renew(
        &self,
        topic: &str,
        id: TopicId,
        partition: i32,
        number: u32,
        start: i64,
    ) -> Result<(), EpochsError>;
}

/// Epochs in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryEpochs(Mutex<BTreeMap<String, Vec<(TopicId, Epoch)>>>);

/// The number after those of all `lives`.
fn next(lives: &[(TopicId, Epoch)]) -> u32 {
    let numbers = lives.iter().flat_map(|(_, epoch)| {
        let renewed = epoch.renewed.values().map(|renewed| renewed.number);
        renewed.chain([epoch.number])
    });
    numbers.max().unwrap_or(0).saturating_add(1)
}

#[async_trait]
impl Epochs for MemoryEpochs {
    async fn epoch_of(
        &self,
        topic: &str,
        id: TopicId,
        starts: Option<&BTreeMap<i32, i64>>,
    ) -> Result<Option<Epoch>, EpochsError> {
        let mut known = self.0.lock();
        let lives = known.entry(topic.to_owned()).or_default();
        if let Some((_, epoch)) = lives.iter().find(|(known, _)| *known == id) {
            return Ok(Some(epoch.clone()));
        }
        let Some(starts) = starts else {
            return Ok(None);
        };
        let epoch = Epoch {
            number: next(lives),
            starts: starts.clone(),
            renewed: BTreeMap::new(),
        };
        lives.push((id, epoch.clone()));
        Ok(Some(epoch))
    }

    async fn renew(
        &self,
        topic: &str,
        id: TopicId,
        partition: i32,
        number: u32,
        start: i64,
    ) -> Result<(), EpochsError> {
        let mut known = self.0.lock();
        let lives = known.entry(topic.to_owned()).or_default();
        let renewed = Renewed {
            number: next(lives),
            start,
        };
        let life = lives.iter_mut().find(|(known, _)| *known == id);
        if let Some((_, epoch)) = life
            && epoch.number_of(partition) == number
        {
            epoch.renewed.insert(partition, renewed);
        }
        Ok(())
    }
}

/// What administrators have accepted. Asked about once a second for each
/// partition that is stopped; must answer at once.
pub trait Acceptances: Send + Sync + std::fmt::Debug {
    /// Whether `partition` may go on over `what`: just this was accepted.
    fn accepted(&self, partition: &Partition, what: &Acceptable) -> bool;
}

/// Nothing is accepted.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingAccepted;

impl Acceptances for NothingAccepted {
    fn accepted(&self, _: &Partition, _: &Acceptable) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_life_of_a_topic_has_its_own_source() {
        let epochs = MemoryEpochs::default();
        let starts = BTreeMap::from([(0, 7)]);
        let none = BTreeMap::new();
        let of = |id, starts| epochs.epoch_of("a", TopicId(id), starts);
        assert_eq!(of(1, None).await.unwrap(), None, "a look takes nothing");
        let first = of(1, Some(&starts)).await.unwrap().unwrap();
        let second = of(2, Some(&none)).await.unwrap().unwrap();
        assert_eq!((first.number, second.number), (1, 2));
        let again = of(1, Some(&none)).await.unwrap().unwrap();
        assert_eq!(again, first, "the starts of the first sight stay");
        assert_eq!(of(2, None).await.unwrap(), Some(second.clone()));
        assert_eq!(first.source("a", 0), "a");
        assert_eq!(second.source("a", 0), "a@2");
        assert_eq!(topic_of("a@2"), ("a", 2));
        assert_eq!(topic_of("a"), ("a", 1));
    }

    #[tokio::test]
    async fn one_partition_gets_another_life_once() {
        let epochs = MemoryEpochs::default();
        let starts = BTreeMap::from([(0, 7), (1, 9)]);
        let of = |id| epochs.epoch_of("a", TopicId(id), Some(&starts));
        of(1).await.unwrap();
        // The second comes too late, and says the same.
        for _ in 0..2 {
            epochs.renew("a", TopicId(1), 0, 1, 40).await.unwrap();
        }
        let epoch = of(1).await.unwrap().unwrap();
        let sources = [epoch.source("a", 0), epoch.source("a", 1)];
        assert_eq!(sources, ["a@2", "a"]);
        assert_eq!((epoch.start_of(0), epoch.start_of(1)), (Some(40), Some(9)));
        // Again, and then the whole topic: no number is given twice.
        epochs.renew("a", TopicId(1), 0, 2, 50).await.unwrap();
        let epoch = of(1).await.unwrap().unwrap();
        assert_eq!(
            (epoch.source("a", 0), epoch.start_of(0)),
            ("a@3".to_owned(), Some(50))
        );
        let fresh = of(2).await.unwrap().unwrap();
        assert_eq!(fresh.source("a", 0), "a@4");
    }
}
