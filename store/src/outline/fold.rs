//! Received bytes are taken apart, on their way into a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, DictionaryArray, Int32Builder, RecordBatch, StringBuilder,
};
use arrow::compute::{is_not_null, nullif};
use arrow::datatypes::{Field, Int32Type, Schema};
use arrow::error::ArrowError;
use cairn_schemas::columns::{OUTLINE_COLUMN, RAW_COLUMN};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::learn::learn;
use super::sources::{Sources, TEXTS, Texts};
use super::{Piece, makes, pieces};

/// So many outlines of one kind of event are tried for a row.
const TRIED: usize = 8;

/// Kinds that are missed so often are learned anew for each row, without a try:
/// something in them is in no column and never the same.
const MISSES: u32 = 64;

/// Past so many outlines, or so many bytes of them, all are forgotten and
/// learned anew. A thousand are many.
const MOST: usize = 8192;
const MOST_BYTES: usize = 8 << 20;

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
    hits: u32,
    misses: u32,
}

/// One batch's outlines, each once.
struct Folded {
    texts: StringBuilder,
    places: Int32Builder,
    /// The place in `texts` of each outline that is known.
    of: HashMap<u32, i32, ahash::RandomState>,
}

impl Folded {
    fn known(&mut self, id: u32, text: &str) {
        let next = place(self.texts.len());
        let at = *self.of.entry(id).or_insert(next);
        if at == next {
            self.texts.append_value(text);
        }
        self.places.append_value(at);
    }

    fn single(&mut self, text: &str) {
        self.places.append_value(place(self.texts.len()));
        self.texts.append_value(text);
    }
}

/// Rows of a batch are fewer than 2^31.
fn place(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

impl Outlines {
    /// `batch`, the column `raw` of which holds every event as received, with
    /// `raw_outline` behind it, and with null in either of the two.
    pub(crate) fn fold(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let at = batch.schema().index_of(RAW_COLUMN)?;
        let raws = batch.column(at);
        let Some(texts) = Texts::of(raws) else {
            return Err(ArrowError::SchemaError("raw is no text".to_owned()));
        };
        if self.known.len() > MOST || self.bytes > MOST_BYTES {
            *self = Self::default();
        }
        let sources = Sources::of(batch);
        let kinds = Looks::new();
        let rows = batch.num_rows();
        let mut folded = Folded {
            texts: StringBuilder::new(),
            places: Int32Builder::with_capacity(rows),
            of: HashMap::default(),
        };
        for row in 0..rows {
            match texts.get(row) {
                Some(raw) => self.row(raw, &sources, row, kinds.at(&sources, row), &mut folded),
                None => folded.places.append_null(),
            }
        }
        let places = folded.places.finish();
        // Not whole: what has an outline.
        let whole = nullif(raws, &is_not_null(&places)?)?;
        let outlines =
            DictionaryArray::<Int32Type>::try_new(places, Arc::new(folded.texts.finish()))?;
        with_outlines(batch, at, whole, Arc::new(outlines))
    }

    fn row(&mut self, raw: &str, sources: &Sources<'_>, row: usize, look: u64, to: &mut Folded) {
        let kind = self.kinds.entry(look).or_default();
        let hopeless = kind.misses > MISSES && kind.hits < kind.misses;
        if !hopeless {
            let fits = |id: &u32| {
                let known = &self.known[*id as usize];
                makes(&known.text, &known.pieces, raw, sources, row)
            };
            if let Some(at) = kind.outlines.iter().position(fits) {
                kind.hits = kind.hits.saturating_add(1);
                kind.outlines[..=at].rotate_right(1);
                let id = kind.outlines[0];
                return to.known(id, &self.known[id as usize].text);
            }
        }
        kind.misses = kind.misses.saturating_add(1);
        let Some(text) = learn(raw, sources, row) else {
            return to.places.append_null();
        };
        if let Some(id) = self.ids.get(text.as_str()).copied() {
            // Another kind's, or one that was pushed out: seen before, so it
            // will be seen again.
            let known = &self.known[id as usize];
            if !makes(&known.text, &known.pieces, raw, sources, row) {
                return to.places.append_null();
            }
            kind.hits = kind.hits.saturating_add(1);
            kind.take(id);
            return to.known(id, &known.text);
        }
        let Ok(pieces) = pieces(&text) else {
            return to.places.append_null();
        };
        if !makes(&text, &pieces, raw, sources, row) {
            return to.places.append_null();
        }
        if hopeless {
            return to.single(&text);
        }
        let text: Arc<str> = Arc::from(text);
        let id = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        kind.take(id);
        to.known(id, &text);
        self.bytes += text.len() + pieces.len() * size_of::<Piece>();
        self.ids.insert(Arc::clone(&text), id);
        self.known.push(Known { text, pieces });
    }
}

impl Kind {
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

fn with_outlines(
    batch: &RecordBatch,
    raw: usize,
    whole: ArrayRef,
    outlines: ArrayRef,
) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
    fields[raw] = Arc::new(fields[raw].as_ref().clone().with_nullable(true));
    columns[raw] = whole;
    let field = Field::new(OUTLINE_COLUMN, outlines.data_type().clone(), true);
    fields.insert(raw + 1, Arc::new(field));
    columns.insert(raw + 1, outlines);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
