//! Rows in the order of the answer, cut into numbered files: Parquet, CSV,
//! NDJSON.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use cairn_schemas::export::ExportFormat;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::csv::Csv;
use super::{FILE_BYTES, FILE_ROWS, Files, FilesError, Finished};

/// Rows of a Parquet row group.
const GROUP_ROWS: usize = 64 << 10;

/// See the module's documentation.
pub(super) struct Parts {
    format: ExportFormat,
    csv: Csv,
    schema: SchemaRef,
    open: Option<(Part, u64)>,
    number: usize,
}

/// The file that is being written.
enum Part {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Csv(Vec<u8>),
    Ndjson(Box<GzEncoder<Vec<u8>>>),
}

impl Part {
    fn size(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.bytes_written() + writer.in_progress_size(),
            Self::Csv(out) => out.len(),
            Self::Ndjson(out) => out.get_ref().len(),
        }
    }
}

impl Parts {
    pub(super) fn new(
        format: ExportFormat,
        neutralise: bool,
        schema: &SchemaRef,
    ) -> Result<Self, FilesError> {
        let mut parts = Self {
            format,
            csv: Csv { neutralise },
            schema: Arc::clone(schema),
            open: None,
            number: 0,
        };
        // The first file is there also when there are no rows: it tells the
        // columns.
        parts.open = Some((parts.begin()?, 0));
        Ok(parts)
    }

    fn begin(&self) -> Result<Part, FilesError> {
        Ok(match self.format {
            ExportFormat::Csv => {
                let mut out = Vec::new();
                self.csv.header(&self.schema, &mut out);
                Part::Csv(out)
            }
            ExportFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(ParquetCompression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_created_by("cairn".to_owned())
                    .build();
                let schema = Arc::clone(&self.schema);
                let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
                Part::Parquet(Box::new(writer))
            }
            _ => {
                let packed = GzEncoder::new(Vec::new(), Compression::default());
                Part::Ndjson(Box::new(packed))
            }
        })
    }

    fn finish(&mut self) -> Result<Option<Finished>, FilesError> {
        let Some((part, rows)) = self.open.take() else {
            return Ok(None);
        };
        let (bytes, end) = match part {
            Part::Parquet(writer) => (writer.into_inner()?, "parquet"),
            Part::Csv(out) => (out, "csv"),
            Part::Ndjson(out) => (out.finish()?, "ndjson.gz"),
        };
        let name = format!("part-{:05}.{end}", self.number);
        self.number += 1;
        Ok(Some(Finished::new(name, bytes, rows)))
    }
}

impl Files for Parts {
    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<Finished>, FilesError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let (mut part, rows) = match self.open.take() {
            Some(open) => open,
            None => (self.begin()?, 0),
        };
        match &mut part {
            Part::Parquet(writer) => writer.write(batch)?,
            Part::Csv(out) => self.csv.rows(batch, out)?,
            Part::Ndjson(out) => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let mut lines = builder.build::<_, LineDelimited>(Vec::new());
                lines.write(batch)?;
                lines.finish()?;
                out.write_all(&lines.into_inner())?;
            }
        }
        let rows = rows + batch.num_rows() as u64;
        let full = part.size() >= FILE_BYTES || rows >= FILE_ROWS;
        self.open = Some((part, rows));
        match full {
            true => Ok(self.finish()?.into_iter().collect()),
            false => Ok(Vec::new()),
        }
    }

    fn end(&mut self) -> Result<Vec<Finished>, FilesError> {
        Ok(self.finish()?.into_iter().collect())
    }
}
