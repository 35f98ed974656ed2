//! Received bytes are put together again.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringBuilder, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use cairn_schemas::columns::{OUTLINE_COLUMN, RAW_COLUMN};

use super::sources::{Sources, Texts};
use super::{Outline, Reference};

/// The column `raw`, of type `to` (text, or text as views), of rows that lie in
/// a file with `raw` and `raw_outline` in it. `column` gives the others by name,
/// as far as they are among [`super::needed`].
///
/// Fails where an outline refers to what its row does not have: then the file
/// is damaged, or a newer Cairn wrote it.
pub fn fill<'a>(
    raw: &ArrayRef,
    outline: &ArrayRef,
    column: impl Fn(&str) -> Option<&'a ArrayRef>,
    to: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let (Some(raw), Some(outline)) = (
        Texts::of(raw),
        Texts::of(outline).map(|o| (o, outline.len())),
    ) else {
        return Err(damaged("raw and raw_outline are no text"));
    };
    let (outline, rows) = outline;
    let sources = Sources::by(column);
    let filler = Filler {
        raw,
        outline,
        sources: &sources,
        rows,
    };
    // Without the room that building asked for ahead: whoever holds the column
    // counts it as memory, a join once for each of its own batches.
    if *to == DataType::Utf8View {
        let mut texts = StringViewBuilder::with_capacity(rows);
        filler.each(|text| {
            texts.append_value(text);
            Ok(())
        })?;
        let mut texts = texts.finish();
        texts.shrink_to_fit();
        return Ok(Arc::new(texts));
    }
    let mut texts = StringBuilder::new();
    filler.each(|text| {
        let bytes = texts.values_slice().len() + text.len();
        // The builder would panic.
        if i32::try_from(bytes).is_err() {
            return Err(ArrowError::OffsetOverflowError(bytes));
        }
        texts.append_value(text);
        Ok(())
    })?;
    let mut texts = texts.finish();
    texts.shrink_to_fit();
    Ok(Arc::new(texts))
}

/// `batch` with `raw` as it was received, where the batch has `raw_outline`;
/// which is taken out. Anything else stays as it is.
pub fn filled(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let (Ok(raw), Ok(outline)) = (schema.index_of(RAW_COLUMN), schema.index_of(OUTLINE_COLUMN))
    else {
        return Ok(batch);
    };
    let whole = fill(
        batch.column(raw),
        batch.column(outline),
        |name| batch.column_by_name(name),
        &DataType::Utf8,
    )?;
    let (mut fields, mut columns) = (schema.fields().to_vec(), batch.columns().to_vec());
    fields[raw] = Arc::new(Field::new(RAW_COLUMN, DataType::Utf8, false));
    columns[raw] = whole;
    fields.remove(outline);
    columns.remove(outline);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

struct Filler<'a, 's> {
    raw: Texts<'a>,
    outline: Texts<'a>,
    sources: &'s Sources<'a>,
    rows: usize,
}

impl Filler<'_, '_> {
    fn each(&self, mut take: impl FnMut(&str) -> Result<(), ArrowError>) -> Result<(), ArrowError> {
        // Few outlines, many rows.
        let mut known: HashMap<&str, Outline<'_>, ahash::RandomState> = HashMap::default();
        let mut text = String::new();
        for row in 0..self.rows {
            if let Some(whole) = self.raw.get(row) {
                take(whole)?;
                continue;
            }
            let outline = self.outline.get(row);
            let outline = outline.ok_or_else(|| damaged("neither raw nor raw_outline"))?;
            if !known.contains_key(outline) {
                let parsed = Outline::parse(outline)
                    .map_err(|r| damaged(&format!("an outline that refers to {r:?}")))?;
                known.insert(outline, parsed);
            }
            text.clear();
            known[outline]
                .put(self.sources, row, &mut text)
                .map_err(|r| damaged(&format!("an outline without its {}", name(r))))?;
            take(&text)?;
        }
        Ok(())
    }
}

fn name(reference: Reference) -> String {
    let mut text = String::new();
    reference.push_to(&mut text);
    text.trim_matches(super::MARK).to_owned()
}

/// As other damage of a Parquet file is told: it is not the reader's mistake.
fn damaged(what: &str) -> ArrowError {
    ArrowError::ParquetError(format!(
        "the received bytes of a row cannot be put together: the file holds {what}; \
         it is damaged, or a newer Cairn wrote it"
    ))
}
