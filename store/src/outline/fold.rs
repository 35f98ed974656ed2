//! Received bytes are taken apart, on their way into a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, DictionaryArray, Int32Builder, RecordBatch,
    StringBuilder,
};
use arrow::compute::{is_not_null, nullif};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow::error::ArrowError;
use cairn_schemas::columns::{OUTLINE_COLUMN, RAW_COLUMN};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::learn::{learn, vary};
use super::sources::{self, Sources, TEXTS};
use super::{Piece, makes, pieces};

/// So many outlines of one kind of event are tried for a row.
const TRIED: usize = 8;

/// Kinds of which no outline fitted so many rows, and more than one fitted, are
/// varied: something in them is in no column and seldom the same. None is tried then;
/// the one used last is varied.
const MISSES: u32 = 64;

/// Of those, one row of so many is read all the same, for there may be a better outline;
/// and one new outline of so many is remembered, for some come again.
const SAMPLED: u32 = 16;

/// What was counted of a kind counts half, each so many rows: kinds change.
const COUNTED: u32 = 4096;

/// Past so many outlines, or so many bytes of them, no more are remembered, and
/// before the next rows all are forgotten. A thousand are many.
const MOST: usize = 8192;
const MOST_BYTES: usize = 8 << 20;

/// The same of kinds: there are as many as names of operations, times regions, which
/// senders make up.
const MOST_KINDS: usize = 1 << 16;

/// The outlines that were met lately, for the rows that come next.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    known: Vec<Known>,
    /// By their texts.
    ids: HashMap<Arc<str>, u32, ahash::RandomState>,
    /// By what is known of an event before it is looked at.
    kinds: HashMap<u64, Kind, ahash::RandomState>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    text: Arc<str>,
    pieces: Vec<Piece>,
}

/// The outlines of events that look alike, the one used last first.
#[derive(Debug, Default)]
struct Kind {
    outlines: Vec<u32>,
    /// Rows that one of them fitted, and rows that none did.
    hits: u32,
    misses: u32,
    /// Rows with an outline that was not known.
    fresh: u32,
}

/// See [`Outlines::fold`].
pub(crate) struct FoldedBatches {
    /// In them the column `raw_outline` is the place of each outline in `texts`.
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) texts: ArrayRef,
}

/// The outlines of some rows, each once.
#[derive(Default)]
struct Texts {
    texts: StringBuilder,
    /// The place of each outline that is known.
    of: HashMap<u32, i32, ahash::RandomState>,
}

impl Texts {
    /// Nothing where the texts are full.
    fn known(&mut self, id: u32, text: &str) -> Option<i32> {
        if let Some(place) = self.of.get(&id) {
            return Some(*place);
        }
        let place = self.single(text)?;
        self.of.insert(id, place);
        Some(place)
    }

    fn single(&mut self, text: &str) -> Option<i32> {
        // More than its offsets can tell, and Arrow's builder would panic.
        i32::try_from(self.texts.values_slice().len() + text.len()).ok()?;
        let place = i32::try_from(self.texts.len()).ok()?;
        self.texts.append_value(text);
        Some(place)
    }
}

/// Rows of [`FoldedBatches::batches`], in any order, with the outlines themselves.
/// Without `texts` the batch stays as it is.
pub(crate) fn with_texts(
    batch: RecordBatch,
    texts: Option<&ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let Some(texts) = texts else {
        return Ok(batch);
    };
    let at = batch.schema().index_of(OUTLINE_COLUMN)?;
    let places = batch.column(at).as_primitive::<Int32Type>().clone();
    let outlines = DictionaryArray::<Int32Type>::try_new(places, Arc::clone(texts))?;
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    fields[at] = Arc::new(Field::new(
        OUTLINE_COLUMN,
        outlines.data_type().clone(),
        true,
    ));
    columns[at] = Arc::new(outlines);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

impl Outlines {
    /// `batches`, the column `raw` of which holds every event as received, with
    /// `raw_outline` behind it, and with null in either of the two. Before each row is
    /// looked at, `look` is told its batch and its place in it.
    pub(crate) fn fold(
        &mut self,
        batches: &[RecordBatch],
        mut look: impl FnMut(usize, usize),
    ) -> Result<FoldedBatches, ArrowError> {
        if self.is_full() || self.kinds.len() > MOST_KINDS {
            *self = Self::default();
        }
        let mut texts = Texts::default();
        let batches: Vec<RecordBatch> = batches
            .iter()
            .enumerate()
            .map(|(b, batch)| self.batch(batch, &mut texts, |row| look(b, row)))
            .collect::<Result<_, _>>()?;
        Ok(FoldedBatches {
            batches,
            texts: Arc::new(texts.texts.finish()),
        })
    }

    fn is_full(&self) -> bool {
        self.known.len() >= MOST || self.bytes >= MOST_BYTES
    }

    /// How many outlines are remembered, and of how many kinds.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, usize) {
        (self.known.len(), self.kinds.len())
    }

    /// How many kinds are varied.
    #[cfg(test)]
    pub(super) fn varied(&self) -> usize {
        self.kinds.values().filter(|k| k.is_varied()).count()
    }

    fn batch(
        &mut self,
        batch: &RecordBatch,
        texts: &mut Texts,
        mut look: impl FnMut(usize),
    ) -> Result<RecordBatch, ArrowError> {
        let at = batch.schema().index_of(RAW_COLUMN)?;
        let raws = batch.column(at);
        let Some(raw) = sources::Texts::of(raws) else {
            return Err(ArrowError::SchemaError("raw is no text".to_owned()));
        };
        let sources = Sources::of(batch);
        let looks = Looks::new();
        let mut places = Int32Builder::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            look(row);
            places.append_option(raw.get(row).and_then(|raw| {
                let look = looks.at(&sources, row);
                self.row(raw, &sources, row, look, texts)
            }));
        }
        let places = places.finish();
        // Whole is what has no outline.
        let whole = nullif(raws, &is_not_null(&places)?)?;
        let (mut fields, mut columns) =
            (batch.schema().fields().to_vec(), batch.columns().to_vec());
        fields[at] = Arc::new(fields[at].as_ref().clone().with_nullable(true));
        columns[at] = whole;
        fields.insert(
            at + 1,
            Arc::new(Field::new(OUTLINE_COLUMN, DataType::Int32, true)),
        );
        columns.insert(at + 1, Arc::new(places));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    /// The place among the texts of this row's outline; nothing where it is kept whole.
    fn row(
        &mut self,
        raw: &str,
        sources: &Sources<'_>,
        row: usize,
        look: u64,
        texts: &mut Texts,
    ) -> Option<i32> {
        let full = self.is_full();
        let kind = self.kinds.entry(look).or_default();
        let varied = kind.is_varied();
        if !varied {
            let fits = |id: &u32| {
                let known = &self.known[*id as usize];
                makes(&known.text, &known.pieces, raw, sources, row)
            };
            if let Some(at) = kind.outlines.iter().position(fits) {
                kind.count(true);
                kind.outlines[..=at].rotate_right(1);
                let id = kind.outlines[0];
                return texts.known(id, &self.known[id as usize].text);
            }
        }
        let last = kind.outlines.first().filter(|_| kind.is_like_its_last());
        let text = last
            .map(|id| &self.known[*id as usize])
            .and_then(|last| vary(&last.text, &last.pieces, raw, sources, row))
            .or_else(|| learn(raw, sources, row))?;
        if let Some(id) = self.ids.get(text.as_str()).copied() {
            // Another kind's, one that was pushed out, or one that was not tried: seen
            // before, so it will be seen again.
            let known = &self.known[id as usize];
            if !makes(&known.text, &known.pieces, raw, sources, row) {
                return None;
            }
            kind.count(kind.outlines.contains(&id));
            kind.take(id);
            return texts.known(id, &known.text);
        }
        let pieces = pieces(&text).ok()?;
        if !makes(&text, &pieces, raw, sources, row) {
            return None;
        }
        kind.count(false);
        kind.fresh = kind.fresh.wrapping_add(1);
        let place = texts.single(&text)?;
        if full || (varied && !kind.fresh.is_multiple_of(SAMPLED)) {
            return Some(place);
        }
        let text: Arc<str> = Arc::from(text);
        let id = u32::try_from(self.known.len()).ok()?;
        self.bytes += text.len() + pieces.len() * size_of::<Piece>();
        let known = Arc::clone(&text);
        self.known.push(Known { text, pieces });
        self.ids.insert(known, id);
        kind.take(id);
        texts.of.insert(id, place);
        Some(place)
    }
}

impl Kind {
    fn is_varied(&self) -> bool {
        self.misses > MISSES && self.hits < self.misses
    }

    /// Whether the next row is first taken for a variation of the last.
    fn is_like_its_last(&self) -> bool {
        self.misses > MISSES && !(self.hits + self.misses).is_multiple_of(SAMPLED)
    }

    fn count(&mut self, hit: bool) {
        if self.hits + self.misses >= COUNTED {
            self.hits /= 2;
            self.misses /= 2;
        }
        match hit {
            true => self.hits += 1,
            false => self.misses += 1,
        }
    }

    fn take(&mut self, id: u32) {
        self.outlines.retain(|known| *known != id);
        self.outlines.insert(0, id);
        self.outlines.truncate(TRIED);
    }
}

/// What tells kinds of events apart without looking at their bytes.
struct Looks {
    name: usize,
    region: usize,
    /// Whether there is a value in each of these tells most of the shape.
    there: Vec<usize>,
}

impl Looks {
    fn new() -> Self {
        let at = |name: &str| TEXTS.iter().position(|t| *t == name).unwrap_or_default();
        Self {
            name: at("event_name"),
            region: at("region"),
            there: [
                "error_code",
                "request_parameters",
                "response_elements",
                "additional_event_data",
                "vpc_id",
                "shared_event_id",
                "request_id",
            ]
            .iter()
            .map(|name| at(name))
            .collect(),
        }
    }

    fn at(&self, sources: &Sources<'_>, row: usize) -> u64 {
        let mut seed = sources.resources(row) as u64;
        for at in &self.there {
            seed = seed << 1 | u64::from(sources.text(*at, row).is_some());
        }
        for at in [self.name, self.region] {
            seed = xxh3_64_with_seed(sources.text(at, row).unwrap_or_default().as_bytes(), seed);
        }
        seed
    }
}
