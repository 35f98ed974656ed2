//! From rows to an export's files: each is made whole in memory, cut before it
//! becomes large, and then put in one piece.

mod csv;
mod delivery;
mod parts;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use cairn_schemas::export::ExportFormat;

use crate::export::manifest::{File, sha256};
pub use delivery::COLUMNS as DELIVERY_COLUMNS;
use delivery::Delivery;
use parts::Parts;

/// Where a file is cut: memory holds one of these for each export, twice as
/// much while one is packed.
pub const FILE_BYTES: usize = 32 << 20;
/// A spreadsheet takes 1,048,576 rows.
pub const FILE_ROWS: u64 = 1_000_000;

/// Why rows could not become files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The answer does not suit the format.
    #[error("{0}")]
    Unsuited(String),
    /// A value that cannot be written.
    #[error("the rows cannot be written: {0}")]
    Arrow(#[from] ArrowError),
    /// Packing failed.
    #[error("the rows cannot be packed: {0}")]
    Io(#[from] std::io::Error),
    /// The Parquet writer.
    #[error("the rows cannot be written: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// A file that is whole.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What the manifest says of it.
    pub file: File,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Finished {
    fn new(name: String, bytes: Vec<u8>, rows: u64) -> Self {
        Self {
            file: File {
                name,
                bytes: bytes.len() as u64,
                rows,
                sha256: sha256(&bytes),
            },
            bytes: bytes.into(),
        }
    }
}

/// The files of one export.
pub trait Files: Send {
    /// Takes rows; gives back the files that are whole now.
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<Finished>, FilesError>;
    /// The rest.
    fn end(&mut self) -> Result<Vec<Finished>, FilesError>;
    /// Rows that belong into no file of this format.
    fn left_out(&self) -> u64 {
        0
    }
}

impl std::fmt::Debug for dyn Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

/// The files of an answer with `schema`.
pub fn files(
    format: ExportFormat,
    neutralise: bool,
    schema: &SchemaRef,
) -> Result<Box<dyn Files>, FilesError> {
    check(format, schema)?;
    Ok(match format {
        ExportFormat::CloudTrail | ExportFormat::ActionTrail => {
            Box::new(Delivery::new(format, schema)?)
        }
        format => Box::new(Parts::new(format, neutralise, schema)?),
    })
}

/// Whether an answer with `schema` can become files of `format`: so that it is
/// known before any row is read.
pub fn check(format: ExportFormat, schema: &SchemaRef) -> Result<(), FilesError> {
    if format.is_delivery() {
        return Delivery::new(format, schema).map(|_| ());
    }
    if schema.fields().is_empty() {
        return Err(FilesError::Unsuited("the answer has no columns".to_owned()));
    }
    // Readers of all three formats go by names; the second would be lost.
    let mut names = std::collections::BTreeSet::new();
    for field in schema.fields() {
        if !names.insert(field.name()) {
            return Err(FilesError::Unsuited(format!(
                "two columns are called {:?}: give one of them another name with AS",
                field.name()
            )));
        }
    }
    Ok(())
}

/// How files of `format` are packed, for the manifest.
pub fn compression(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Parquet => "zstd",
        ExportFormat::Csv => "none",
        ExportFormat::Ndjson | ExportFormat::CloudTrail | ExportFormat::ActionTrail => "gzip",
    }
}

#[cfg(test)]
mod tests;
