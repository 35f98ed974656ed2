//! The pipeline as the measured run sees it.

use anyhow::bail;

use super::measure::{Options, Subject};

/// Opens the pipeline over an empty directory.
pub(crate) async fn open(options: Options) -> anyhow::Result<Box<dyn Subject>> {
    bail!(
        "this build has no pipeline to measure (it would store in {}); \
         `cairn bench generate` and `cairn bench questions` work",
        options.data.display()
    )
}
