//! What opening does: verifies every frame, cuts the torn tail of the last
//! segment, refuses everything else that is not as it was written.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{LogFile, LogFiles};
use super::frame::{self, Fault};
use super::segment::{self, Header, Name};
use super::shared::Segment;
use super::writer::Tip;
use super::{Envelope, LogError, LogOptions};

/// What opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments in use.
    pub segments: usize,
    /// Bytes that were read and verified.
    pub verified_bytes: u64,
    /// Bytes at the end of the last segment that were no whole frame: a write
    /// that a crash interrupted. They were cut.
    pub cut_bytes: u64,
}

/// An open log folder.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: VecDeque<Segment>,
    pub(super) tip: Tip,
    pub(super) next: i64,
    pub(super) report: Recovery,
}

/// One segment's file.
struct Found {
    path: PathBuf,
    file: Arc<dyn LogFile>,
    size: u64,
    header: Header,
}

/// Opens the folder. Every step may be interrupted and is then done again at
/// the next start.
pub(super) fn recover(
    files: &dyn LogFiles,
    dir: &Path,
    options: &LogOptions,
) -> Result<Recovered, LogError> {
    let bases = list(files, dir)?;
    let mut found = Vec::with_capacity(bases.len());
    for base in bases {
        found.push(open(files, dir, base)?);
    }
    let Some(last) = found.pop() else {
        return begin(files, dir, options);
    };
    check_chain(&found, &last)?;
    let mut segments = VecDeque::new();
    let mut report = Recovery {
        segments: found.len() + 1,
        ..Recovery::default()
    };
    for (i, segment) in found.iter().enumerate() {
        let after = found.get(i + 1).unwrap_or(&last);
        let bytes = verify_finished(segment, &after.header)?;
        report.verified_bytes += bytes;
        segments.push_back(Segment {
            base: segment.header.base,
            bytes,
        });
    }
    let walk = repair_last(&last, &mut report)?;
    segments.push_back(Segment {
        base: last.header.base,
        bytes: walk.at,
    });
    Ok(Recovered {
        segments,
        next: walk.next,
        report,
        tip: Tip {
            header: last.header,
            bytes: walk.at,
            file: Some(last.file),
            closed: walk.closed,
        },
    })
}

/// The first offsets of the segments, in order. Segments that were never
/// finished are removed on the way.
fn list(files: &dyn LogFiles, dir: &Path) -> Result<Vec<i64>, LogError> {
    let names = files
        .list(dir)
        .map_err(|e| LogError::io("listing", dir, e))?;
    let mut bases = Vec::new();
    for name in names {
        match segment::parse_name(&name) {
            Name::Segment(base) => bases.push(base),
            Name::Unfinished => {
                let path = dir.join(&name);
                let removed = files.remove(&path);
                removed.map_err(|e| LogError::io("removing", &path, e))?;
            }
            Name::Other => {}
        }
    }
    bases.sort_unstable();
    // The names that stand here may be in the kernel's memory only: a process
    // that died between a rename and its sync left them so.
    files
        .sync_dir(dir)
        .map_err(|e| LogError::io("syncing", dir, e))?;
    Ok(bases)
}

fn open(files: &dyn LogFiles, dir: &Path, base: i64) -> Result<Found, LogError> {
    let path = segment::path(dir, base);
    let io = |e| LogError::io("opening", &path, e);
    let file = files.open(&path).map_err(io)?;
    let size = file.size().map_err(io)?;
    if size < segment::HEADER {
        let what = "the file ends inside of the segment's header";
        return Err(LogError::damaged(&path, size, what));
    }
    let mut bytes = [0; segment::HEADER as usize];
    file.read_at(&mut bytes, 0).map_err(io)?;
    let header = Header::decode(&bytes).map_err(|f| LogError::damaged(&path, 0, f))?;
    if header.base != base {
        let what = format!(
            "the segment begins with offset {}, its name does not",
            header.base
        );
        return Err(LogError::damaged(&path, 16, what));
    }
    Ok(Found {
        path,
        file,
        size,
        header,
    })
}

/// Each segment names the one before it. That the first names one that is gone
/// is what a trim leaves.
fn check_chain(found: &[Found], last: &Found) -> Result<(), LogError> {
    let after = found.iter().skip(1).chain([last]);
    for (segment, after) in found.iter().zip(after) {
        let named = after.header.previous.map(|p| p.base);
        if named != Some(segment.header.base) {
            let what = match named {
                Some(base) => format!("the segment before it is missing: {base:020}.log"),
                None => "it is the first of a log, yet another segment lies before it".to_owned(),
            };
            return Err(LogError::damaged(&after.path, 24, what));
        }
    }
    Ok(())
}

fn begin(files: &dyn LogFiles, dir: &Path, options: &LogOptions) -> Result<Recovered, LogError> {
    let base = options.first_offset.max(0);
    let header = Header {
        base,
        previous: None,
    };
    let file = segment::create(files, dir, header)
        .map_err(|e| LogError::io("making the segment", &segment::path(dir, base), e))?;
    let bytes = segment::HEADER;
    Ok(Recovered {
        segments: VecDeque::from([Segment { base, bytes }]),
        next: base,
        report: Recovery {
            segments: 1,
            ..Recovery::default()
        },
        tip: Tip {
            header,
            bytes,
            file: Some(file),
            closed: false,
        },
    })
}

/// A segment that has a successor holds exactly the durable bytes that the
/// successor names; what lies beyond was never acknowledged.
fn verify_finished(segment: &Found, after: &Header) -> Result<u64, LogError> {
    let durable = after.previous.map_or(0, |p| p.bytes);
    if segment.size < durable {
        let what = format!("the file ends here, it should have {durable} bytes");
        return Err(LogError::damaged(&segment.path, segment.size, what));
    }
    let walk = walk(segment, durable)?;
    if let Some(fault) = walk.fault {
        return Err(LogError::damaged(&segment.path, walk.at, fault));
    }
    if walk.next != after.base {
        let what = format!(
            "its records end before offset {}, the next segment begins with {}",
            walk.next, after.base
        );
        return Err(LogError::damaged(&segment.path, walk.at, what));
    }
    if segment.size > durable {
        tracing::info!(path = %segment.path.display(), bytes = segment.size - durable, "log segment has bytes of a failed write after its end, ignored");
    }
    Ok(durable)
}

/// Makes the last segment fit to be appended to.
fn repair_last(last: &Found, report: &mut Recovery) -> Result<Walk, LogError> {
    let io = |doing| move |e| LogError::io(doing, &last.path, e);
    let walk = walk(last, last.size)?;
    report.verified_bytes += walk.at;
    if let Some(fault) = walk.fault {
        if !fault.may_be_torn() {
            return Err(LogError::damaged(&last.path, walk.at, fault));
        }
        if let Some(later) = later_group(last, walk.resume, walk.at).map_err(io("reading"))? {
            let what = format!("{fault}, yet the frame at byte {later} was written after it");
            return Err(LogError::damaged(&last.path, walk.at, what));
        }
        report.cut_bytes = last.size - walk.at;
        tracing::warn!(path = %last.path.display(), at = walk.at, bytes = report.cut_bytes, fault = %fault, "torn tail of the log cut");
        // 1. The torn tail goes. A crash here finds it again, or not.
        last.file.set_len(walk.at).map_err(io("cutting"))?;
    }
    // 2. The last group may stand in the kernel's memory only: its sync may
    //    never have come back, or it failed, and then another sync alone would
    //    prove nothing. Writing the same bytes again makes the pages dirty, so
    //    that the sync at 3 is true. A crash here leaves the same bytes.
    let mut group = vec![0; (walk.at - walk.group) as usize];
    last.file
        .read_at(&mut group, walk.group)
        .map_err(io("reading"))?;
    last.file
        .write_at(&group, walk.group)
        .map_err(io("writing"))?;
    // 3. Only now may a reader see it.
    last.file.sync_all().map_err(io("syncing"))?;
    Ok(walk)
}

/// How far a segment reads well.
struct Walk {
    /// The end of the last good frame.
    at: u64,
    /// The next offset.
    next: i64,
    /// Where the last good frame's group begins.
    group: u64,
    /// Whether the last good frame is a closing mark.
    closed: bool,
    /// Why it does not read on; `None` at the limit.
    fault: Option<Fault>,
    /// Where something later may begin: after the bad frame where its length
    /// can be trusted, so that nothing a sender put into a record is taken for
    /// a frame.
    resume: u64,
}

fn walk(segment: &Found, limit: u64) -> Result<Walk, LogError> {
    let mut walk = Walk {
        at: segment::HEADER,
        next: segment.header.base,
        group: segment::HEADER,
        closed: false,
        fault: None,
        resume: limit,
    };
    let mut body = Vec::new();
    while walk.at < limit {
        let step = step(segment, &mut walk, limit, &mut body);
        match step.map_err(|e| LogError::io("reading", &segment.path, e))? {
            Ok(()) => {}
            Err(fault) => {
                walk.fault = Some(fault);
                break;
            }
        }
    }
    Ok(walk)
}

/// Verifies one frame and moves behind it.
fn step(
    segment: &Found,
    walk: &mut Walk,
    limit: u64,
    body: &mut Vec<u8>,
) -> std::io::Result<Result<(), Fault>> {
    let at = walk.at;
    walk.resume = at + 1;
    if at + frame::HEADER as u64 > limit {
        return Ok(Err(Fault::Short));
    }
    let mut bytes = [0; frame::HEADER];
    segment.file.read_at(&mut bytes, at)?;
    let header = match frame::Header::decode(&bytes, at) {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    let end = at + header.frame_len();
    walk.resume = end;
    let (found, expected) = (header.place.first, walk.next);
    if found != expected {
        return Ok(Err(Fault::Offset { found, expected }));
    }
    let group = header.place.group;
    if group != at && group != walk.group {
        return Ok(Err(Fault::Content));
    }
    if end > limit {
        return Ok(Err(Fault::Short));
    }
    body.resize(header.body_len(), 0);
    segment.file.read_at(body, at + frame::HEADER as u64)?;
    if let Err(fault) = header
        .check_body(body)
        .and_then(|()| readable(&header, body))
    {
        return Ok(Err(fault));
    }
    walk.at = end;
    walk.next = header.next();
    walk.group = group;
    walk.closed = !header.has_records();
    Ok(Ok(()))
}

/// Whether a reader will be able to tell the records apart.
fn readable(header: &frame::Header, body: &[u8]) -> Result<(), Fault> {
    let mut spans = frame::spans(body);
    let Some(envelope) = spans.next_span()? else {
        let empty = !header.has_records() && header.count == 0;
        return if empty { Ok(()) } else { Err(Fault::Content) };
    };
    serde_json::from_slice::<Envelope>(&body[envelope]).map_err(|_| Fault::Content)?;
    let mut count = 0u32;
    while spans.next_span()?.is_some() {
        count = count.saturating_add(1);
    }
    if header.has_records() && count == header.count && count > 0 {
        Ok(())
    } else {
        Err(Fault::Content)
    }
}

/// Looks from `from` on for a frame whose group begins beyond `bad`: such a
/// frame was written after the bytes at `bad` had been synced.
fn later_group(segment: &Found, from: u64, bad: u64) -> std::io::Result<Option<u64>> {
    const WINDOW: u64 = 1 << 20;
    let overlap = frame::HEADER as u64 - 1;
    let mut start = from;
    while start + frame::HEADER as u64 <= segment.size {
        let len = (segment.size - start).min(WINDOW + overlap);
        let mut window = vec![0; len as usize];
        segment.file.read_at(&mut window, start)?;
        for (i, bytes) in window.windows(frame::HEADER).enumerate() {
            if bytes[..4] != frame::MAGIC {
                continue;
            }
            let Some(bytes) = bytes.first_chunk() else {
                continue;
            };
            let at = start + i as u64;
            // The header alone is proof enough: its body may itself be torn.
            let later = frame::Header::decode(bytes, at).is_ok_and(|h| h.place.group > bad);
            if later {
                return Ok(Some(at));
            }
        }
        start += WINDOW;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
