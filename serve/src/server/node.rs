//! What this process calls its own part of the log, and itself in Kafka's group.
//!
//! One process alone calls it `log`. Where several share one store, each has a
//! name of its own, made at its first start and kept in the data folder: two
//! logs of one name would give the same places to different records.
//!
//! In Kafka's group a process that comes back on the same folder is the same
//! member. Of two on copies of one folder the later one takes the earlier one's
//! place there, as it does in history.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use cairn_schemas::{IdSource, Partition, keys};

/// The partition of the embedded log in `dir`. `shared` is whether other
/// processes may use the same store.
pub(super) fn own_partition(
    dir: &Path,
    shared: bool,
    ids: &dyn IdSource,
) -> anyhow::Result<Partition> {
    let path = dir.join(keys::NODE_FILE);
    let named = match fs::read_to_string(&path) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let source = match named {
        Some(named) => named,
        // A log from before it had a name.
        None if has_segments(&dir.join(keys::LOG_DIR))? => write(dir, &path, "log")?,
        None if shared => write(dir, &path, &format!("log-{}", &ids.hex128()[..12]))?,
        None => write(dir, &path, "log")?,
    };
    ensure!(
        !source.is_empty() && !source.contains(['/', '\n']),
        "{} does not hold the name of a log; restore the data folder from a backup",
        path.display()
    );
    ensure!(
        !shared || source != "log",
        "the data folder {} was begun as a Cairn of its own: its log cannot go on in a shared store. \
         Give this process another --data folder; the old one goes on as it was without --store and --kafka",
        dir.display()
    );
    Ok(Partition { source, number: 0 })
}

/// What the process on `dir` is called in Kafka's group.
pub(super) fn own_member(dir: &Path, ids: &dyn IdSource) -> anyhow::Result<String> {
    let path = dir.join(keys::MEMBER_FILE);
    let name = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write(dir, &path, &format!("cairn-{}", ids.hex128()))?
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    // What Kafka takes for such a name.
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    ensure!(
        !name.is_empty() && name.len() <= 249 && name.chars().all(fits),
        "{} does not hold the name of a group's member; delete it, and a new one is made",
        path.display()
    );
    Ok(name)
}

fn has_segments(log: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(log) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Durable before the first record is: a name that a crash changes would give
/// the same record another place.
fn write(dir: &Path, path: &Path, name: &str) -> anyhow::Result<String> {
    let temporary = path.with_extension("new");
    let mut file = fs::File::create(&temporary)?;
    writeln!(file, "{name}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ambient::SystemIds;

    #[test]
    fn a_log_keeps_its_name_and_shared_ones_differ() {
        let dir = tempfile::tempdir().unwrap();
        let alone = own_partition(dir.path(), false, &SystemIds).unwrap();
        assert_eq!(alone, Partition::embedded());
        assert_eq!(own_partition(dir.path(), false, &SystemIds).unwrap(), alone);
        let refused = own_partition(dir.path(), true, &SystemIds).unwrap_err();
        assert!(refused.to_string().contains("another --data"), "{refused}");

        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = own_partition(a.path(), true, &SystemIds).unwrap();
        assert_ne!(first, own_partition(b.path(), true, &SystemIds).unwrap());
        assert_eq!(own_partition(a.path(), true, &SystemIds).unwrap(), first);
    }

    #[test]
    fn a_member_keeps_its_name_and_others_have_another() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = own_member(a.path(), &SystemIds).unwrap();
        assert_eq!(own_member(a.path(), &SystemIds).unwrap(), first);
        assert_ne!(own_member(b.path(), &SystemIds).unwrap(), first);
        fs::write(a.path().join(keys::MEMBER_FILE), "two words\n").unwrap();
        let refused = own_member(a.path(), &SystemIds).unwrap_err();
        assert!(refused.to_string().contains("delete it"), "{refused}");
    }

    #[test]
    fn a_log_without_a_name_is_the_one_that_stood_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(keys::LOG_DIR)).unwrap();
        fs::write(dir.path().join(keys::LOG_DIR).join("x"), "").unwrap();
        assert!(own_partition(dir.path(), true, &SystemIds).is_err());
        let alone = own_partition(dir.path(), false, &SystemIds).unwrap();
        assert_eq!(alone, Partition::embedded());
    }
}
