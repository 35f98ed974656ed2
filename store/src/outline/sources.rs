//! The columns that an outline refers to, as a batch has them.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, Datelike, Timelike};

use super::Reference;

/// The columns of text that hold a slice of what was received, but for those whose
/// values are so few that an outline may as well have them. Outlines in files name
/// them: none may be taken away, and one that is added may be used only in tables that
/// are made from then on, or an older process could not read those that are there.
pub(super) const TEXTS: &[&str] = &[
    "event_id",
    "event_name",
    "event_source",
    "service_name",
    "region",
    "account_id",
    "source_ip",
    "user_agent",
    "request_id",
    "error_code",
    "error_message",
    "resource_type",
    "resource_name",
    "vpc_id",
    "shared_event_id",
    "request_parameters",
    "response_elements",
    "additional_event_data",
    "user_identity",
];

/// The fields of an element of `resources`, by the same rule.
pub(super) const RESOURCE_FIELDS: &[&str] = &["type", "name", "account_id"];

const TIME: &str = "event_time";
const RESOURCES: &str = "resources";

/// The names of all columns that an outline may refer to.
pub fn needed() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().copied().chain([TIME, RESOURCES])
}

/// Texts in either of the forms in which rows come.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    Copied(&'a StringArray),
    Viewed(&'a StringViewArray),
}

impl<'a> Texts<'a> {
    pub(super) fn of(array: &'a ArrayRef) -> Option<Self> {
        let copied = array.as_string_opt::<i32>().map(Self::Copied);
        copied.or_else(|| array.as_string_view_opt().map(Self::Viewed))
    }

    pub(super) fn get(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Copied(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Viewed(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }
}

struct Resources<'a> {
    list: &'a ListArray,
    /// In the order of [`RESOURCE_FIELDS`].
    fields: Vec<Option<Texts<'a>>>,
}

/// The columns of one batch; what it does not have is null.
pub(super) struct Sources<'a> {
    /// In the order of [`TEXTS`].
    texts: Vec<Option<Texts<'a>>>,
    time: Option<&'a TimestampMicrosecondArray>,
    resources: Option<Resources<'a>>,
}

impl<'a> Sources<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        Self::by(|name| batch.column_by_name(name))
    }

    pub(super) fn by(column: impl Fn(&str) -> Option<&'a ArrayRef>) -> Self {
        Self {
            texts: TEXTS
                .iter()
                .map(|name| column(name).and_then(Texts::of))
                .collect(),
            time: column(TIME).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>()),
            resources: column(RESOURCES).and_then(Resources::of),
        }
    }

    pub(super) fn text(&self, at: usize, row: usize) -> Option<&'a str> {
        self.texts.get(at)?.as_ref()?.get(row)
    }

    /// How many resources the row names.
    pub(super) fn resources(&self, row: usize) -> usize {
        let Some(resources) = &self.resources else {
            return 0;
        };
        match resources.list.is_valid(row) {
            true => usize::try_from(resources.list.value_length(row)).unwrap_or_default(),
            false => 0,
        }
    }

    pub(super) fn resource(&self, row: usize, item: usize, field: usize) -> Option<&'a str> {
        if item >= self.resources(row) {
            return None;
        }
        let resources = self.resources.as_ref()?;
        let first = usize::try_from(*resources.list.value_offsets().get(row)?).ok()?;
        resources.fields.get(field)?.as_ref()?.get(first + item)
    }

    /// What stands at `reference` in this row, if anything. `time` is room to
    /// write a moment into.
    pub(super) fn get<'t>(
        &self,
        reference: Reference,
        row: usize,
        time: &'t mut [u8; MAX_TIME],
    ) -> Option<&'t str>
    where
        'a: 't,
    {
        match reference {
            Reference::Text(at) => self.text(at, row),
            Reference::Resource { item, field } => self.resource(row, item, field),
            Reference::Time(digits) => {
                let times = self.time.filter(|t| t.is_valid(row))?;
                moment(times.value(row), digits, time)
            }
        }
    }
}

impl<'a> Resources<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        let list = array.as_list_opt::<i32>()?;
        let elements = list.values().as_struct_opt()?;
        // A null element has null fields in all that Cairn writes; one of
        // another writer's would not be put together again as it came.
        let field = |name: &&str| elements.column_by_name(name).and_then(Texts::of);
        Some(Self {
            list,
            fields: RESOURCE_FIELDS.iter().map(field).collect(),
        })
    }
}

/// `2026-06-01T20:22:16.123456Z`.
pub(super) const MAX_TIME: usize = 27;

/// The moment `micros` with `digits` digits behind the second, as the profile of
/// ISO 8601 that both dialects use (RFC 3339, section 5.6). Nothing for a year that
/// four digits cannot tell, and where digits would be lost.
pub(super) fn moment(micros: i64, digits: usize, out: &mut [u8; MAX_TIME]) -> Option<&str> {
    let at = DateTime::from_timestamp_micros(micros)?;
    let year = u32::try_from(at.year()).ok().filter(|y| *y <= 9999)?;
    let fraction = u32::try_from(micros.rem_euclid(1_000_000)).ok()?;
    let (scale, end) = match digits {
        0 => (1_000_000, 20),
        3 => (1_000, 24),
        _ => (1, MAX_TIME),
    };
    if fraction % scale != 0 {
        return None;
    }
    out.copy_from_slice(b"0000-00-00T00:00:00.000000Z");
    let mut put = |places: Range<usize>, mut value: u32| {
        for place in out[places].iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0..4, year);
    put(5..7, at.month());
    put(8..10, at.day());
    put(11..13, at.hour());
    put(14..16, at.minute());
    put(17..19, at.second());
    put(20..(end - 1).max(20), fraction / scale);
    out[end - 1] = b'Z';
    std::str::from_utf8(&out[..end]).ok()
}
