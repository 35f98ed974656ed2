//! Whether the group has given each partition to somebody.
//!
//! A static member that comes back is given what it had, without a new sharing
//! out, whatever was added meanwhile: nobody would read a partition or a topic
//! that came while it was away (KAFKA-13435; KIP-814 mended it for Java's
//! client alone). So a process looks, from its start until it has once seen
//! everything given out, whether something is left over. If so it leaves the
//! group and joins it again, and then everything is shared out anew.

use std::collections::{BTreeMap, BTreeSet};

/// Partitions by topic and number.
pub(super) type Given = BTreeSet<(String, i32)>;

/// Looks in a row at which something has to be left over. librdkafka itself
/// notices what comes while it runs, and one look may fall in between.
const LOOKS: u32 = 2;

/// What the looks have shown so far.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    done: bool,
    left_over: u32,
}

impl Coverage {
    /// Whether there is nothing more to look for.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes in a look: the topics that are subscribed to, with their numbers
    /// of partitions, and what the members of a settled group were given.
    /// Returns a partition for whose sake the group has to share out anew.
    pub(super) fn look(
        &mut self,
        topics: &BTreeMap<String, i32>,
        given: &Given,
    ) -> Option<(String, i32)> {
        let all = topics
            .iter()
            .flat_map(|(topic, count)| (0..*count).map(|number| (topic.clone(), number)));
        let mut left = all.filter(|partition| !given.contains(partition));
        let Some(first) = left.next() else {
            self.done = true;
            return None;
        };
        self.left_over += 1;
        if self.left_over < LOOKS {
            return None;
        }
        self.left_over = 0;
        Some(first)
    }
}

/// The partitions of one member's assignment, as consumers write it; `None`
/// where it is none.
pub(super) fn assignment(bytes: &[u8]) -> Option<Vec<(String, i32)>> {
    let mut rest = bytes;
    let version = short(&mut rest)?;
    if version < 0 {
        return None;
    }
    let mut out = Vec::new();
    for _ in 0..int(&mut rest)? {
        let len = usize::try_from(short(&mut rest)?).ok()?;
        let topic = std::str::from_utf8(take(&mut rest, len)?).ok()?;
        for _ in 0..int(&mut rest)? {
            out.push((topic.to_owned(), int(&mut rest)?));
        }
    }
    Some(out)
}

fn take<'b>(rest: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn short(rest: &mut &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes(take(rest, 2)?.try_into().ok()?))
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(rest, 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(partitions: &[(&str, i32)]) -> Given {
        let owned = partitions.iter().map(|(t, n)| ((*t).to_owned(), *n));
        owned.collect()
    }

    #[test]
    fn what_nobody_was_given_is_told_at_the_second_look() {
        let mut coverage = Coverage::default();
        let topics = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]);
        let part = given(&[("a", 0), ("b", 0), ("old", 3)]);
        assert_eq!(coverage.look(&topics, &part), None);
        let told = Some(("a".to_owned(), 1));
        assert_eq!(coverage.look(&topics, &part), told);
        assert_eq!(coverage.look(&topics, &part), None, "counted anew");
        assert!(!coverage.is_done());
        let all = given(&[("a", 0), ("a", 1), ("b", 0)]);
        assert_eq!(coverage.look(&topics, &all), None);
        assert!(coverage.is_done());
    }

    #[test]
    fn assignments_are_read_as_consumers_write_them() {
        let bytes = b"\0\x01\0\0\0\x02\0\x02t1\0\0\0\x02\0\0\0\0\0\0\0\x07\0\x01u\0\0\0\x01\0\0\0\x02\xff\xff\xff\xff";
        let read = assignment(bytes).unwrap();
        let expected = [("t1", 0), ("t1", 7), ("u", 2)];
        assert_eq!(read, expected.map(|(t, n)| (t.to_owned(), n)));
        assert_eq!(assignment(b"\0\0\0\0\0\0"), Some(Vec::new()));
        for end in 0..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..end]), None, "cut at {end}");
        }
    }
}
