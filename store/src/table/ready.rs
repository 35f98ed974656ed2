//! Rows as a file holds them, but for their order: hashed, and in an outlined
//! table with what was received as an outline.
//!
//! Both look at every byte received, so they do it while the rows still lie in
//! memory as they came. In the file's order each row would be a jump to
//! somewhere else, and most of the work waiting for memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::facts::{RowHasher, RowsHash, row_hashes};
use super::gather::{self, Gather};
use super::parquet::Layout;
use crate::outline::fold;

/// Batches, ready to be brought into order.
pub(super) struct Ready {
    /// The file's columns. Outlines are numbers, of the places of their texts.
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Of each batch, of each row; empty for a table without `raw`.
    hashes: Vec<Vec<RowsHash>>,
    texts: Option<ArrayRef>,
    empty: Vec<bool>,
}

impl Ready {
    /// `batches` have the columns of the table.
    pub(super) fn new(layout: &Layout, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let batches: Vec<RecordBatch> = batches
            .iter()
            .map(|batch| layout.undated(batch))
            .collect::<Result<_, _>>()?;
        let (batches, texts, hashes) = match &layout.outlines {
            Some(outlines) => {
                // Row by row with the outlines: what was received is read once from
                // memory, and the second time from the processor's cache.
                let mut hashers: Vec<RowHasher<'_>> = batches.iter().map(RowHasher::of).collect();
                let mut hashes: Vec<Vec<RowsHash>> = batches
                    .iter()
                    .map(|batch| Vec::with_capacity(batch.num_rows()))
                    .collect();
                let looked_at = |b: usize, row: usize| hashes[b].extend(hashers[b].row(row));
                let folded = outlines.lock().fold(&batches, looked_at)?;
                (folded.batches, Some(folded.texts), hashes)
            }
            None => {
                let hashes = batches.iter().map(row_hashes).collect();
                (batches, None, hashes)
            }
        };
        let schema = batches
            .first()
            .map_or_else(|| Arc::clone(&layout.schema), RecordBatch::schema);
        Ok(Self {
            empty: gather::empty(&schema, &batches),
            schema,
            batches,
            hashes,
            texts,
        })
    }

    /// Which columns of the file have no value at all.
    pub(super) fn empty(&self) -> &[bool] {
        &self.empty
    }

    /// The rows as they came, batch by batch.
    pub(super) fn in_order(
        &self,
    ) -> impl Iterator<Item = Result<(RecordBatch, Option<RowsHash>), ArrowError>> {
        self.batches
            .iter()
            .zip(&self.hashes)
            .map(|(batch, hashes)| {
                let batch = fold::with_texts(batch.clone(), self.texts.as_ref())?;
                Ok((batch, sum(hashes.iter())))
            })
    }

    /// To have rows in another order.
    pub(super) fn gather(&self) -> Gather {
        Gather::new(&self.schema, &self.batches, &self.empty)
    }

    /// The rows at these places, each a batch and a row of it, and their hash.
    pub(super) fn rows(
        &self,
        gather: &Gather,
        places: &[(usize, usize)],
    ) -> Result<(RecordBatch, Option<RowsHash>), ArrowError> {
        let batch = fold::with_texts(gather.rows(places)?, self.texts.as_ref())?;
        let hashes = places
            .iter()
            .filter_map(|(b, row)| self.hashes[*b].get(*row));
        Ok((batch, sum(hashes)))
    }
}

fn sum<'a>(hashes: impl Iterator<Item = &'a RowsHash>) -> Option<RowsHash> {
    let mut sum: Option<RowsHash> = None;
    for hash in hashes {
        sum.get_or_insert_default().add(hash);
    }
    sum
}
