//! One column's values, ready to be written.

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, PrimitiveArray};
use arrow::array::{BinaryArray, LargeBinaryArray, LargeStringArray, ListArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use bytes::{BufMut as _, BytesMut};
use pgwire::api::Type;

use super::super::types::{item_of, pg_alias};
use super::{numeric, text};

/// PostgreSQL counts from 2000-01-01, in days and microseconds.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// A column of one of the types that are written here.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Bool(BooleanArray),
    Int2(PrimitiveArray<Int16Type>),
    Int4(PrimitiveArray<Int32Type>),
    Int8(PrimitiveArray<Int64Type>),
    /// An object id that is held in more bytes than PostgreSQL gives it.
    Oid(PrimitiveArray<Int64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    Numeric(PrimitiveArray<Decimal128Type>),
    LongNumeric(PrimitiveArray<Decimal256Type>),
    Text(StringArray),
    LongText(LargeStringArray),
    /// One byte of text, as catalog tables have it.
    Char(StringArray),
    Bytes(BinaryArray),
    LongBytes(LargeBinaryArray),
    Date(PrimitiveArray<Date32Type>),
    Time(PrimitiveArray<Time64MicrosecondType>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    TimestampTz(PrimitiveArray<TimestampMicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    Duration(PrimitiveArray<DurationMicrosecondType>),
    List(ListArray, Box<Cell>, Type),
}

impl Cell {
    /// The values of `array`, which are of the type `kind` to clients.
    pub(super) fn new(array: &ArrayRef, kind: &Type) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::Int16 => Self::Int2(array.as_primitive().clone()),
            DataType::Int32 => Self::Int4(array.as_primitive().clone()),
            DataType::Int64 if pg_alias(kind) => Self::Oid(array.as_primitive().clone()),
            DataType::Int64 => Self::Int8(array.as_primitive().clone()),
            DataType::Float32 => Self::Float4(array.as_primitive().clone()),
            DataType::Float64 => Self::Float8(array.as_primitive().clone()),
            DataType::Decimal128(..) => Self::Numeric(array.as_primitive().clone()),
            DataType::Decimal256(..) => Self::LongNumeric(array.as_primitive().clone()),
            DataType::Utf8 if *kind == Type::CHAR => Self::Char(array.as_string().clone()),
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Self::LongText(array.as_string().clone()),
            DataType::Binary => Self::Bytes(array.as_binary().clone()),
            DataType::LargeBinary => Self::LongBytes(array.as_binary().clone()),
            DataType::Date32 => Self::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::Timestamp(array.as_primitive().clone())
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Self::TimestampTz(array.as_primitive().clone())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Self::Interval(array.as_primitive().clone())
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                Self::Duration(array.as_primitive().clone())
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                let kind = item_of(kind).unwrap_or(Type::TEXT);
                let items = Self::new(list.values(), &kind)?;
                Self::List(list, Box::new(items), kind)
            }
            other => {
                return Err(ArrowError::NotYetImplemented(format!(
                    "a column of {other}"
                )));
            }
        })
    }

    fn array(&self) -> Option<&dyn Array> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(a) => a,
            Self::Int2(a) => a,
            Self::Int4(a) => a,
            Self::Int8(a) | Self::Oid(a) => a,
            Self::Float4(a) => a,
            Self::Float8(a) => a,
            Self::Numeric(a) => a,
            Self::LongNumeric(a) => a,
            Self::Text(a) | Self::Char(a) => a,
            Self::LongText(a) => a,
            Self::Bytes(a) => a,
            Self::LongBytes(a) => a,
            Self::Date(a) => a,
            Self::Time(a) => a,
            Self::Timestamp(a) | Self::TimestampTz(a) => a,
            Self::Interval(a) => a,
            Self::Duration(a) => a,
            Self::List(a, ..) => a,
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.array().is_none_or(|array| array.is_null(row))
    }

    /// Writes the value at `row`, which is not null, as text.
    pub(super) fn write_text(&self, row: usize, out: &mut BytesMut) {
        match self {
            Self::Null => {}
            Self::Bool(a) => out.put_u8(if a.value(row) { b't' } else { b'f' }),
            Self::Int2(a) => text::number(a.value(row), out),
            Self::Int4(a) => text::number(a.value(row), out),
            Self::Int8(a) | Self::Oid(a) => text::number(a.value(row), out),
            Self::Float4(a) => text::float4(a.value(row), out),
            Self::Float8(a) => text::float8(a.value(row), out),
            Self::Numeric(a) => out.put_slice(a.value_as_string(row).as_bytes()),
            Self::LongNumeric(a) => out.put_slice(a.value_as_string(row).as_bytes()),
            Self::Text(a) | Self::Char(a) => text::text(a.value(row), out),
            Self::LongText(a) => text::text(a.value(row), out),
            Self::Bytes(a) => text::bytes(a.value(row), out),
            Self::LongBytes(a) => text::bytes(a.value(row), out),
            Self::Date(a) => text::date(i64::from(a.value(row)), out),
            Self::Time(a) => text::time(a.value(row), out),
            Self::Timestamp(a) => text::timestamp(a.value(row), "", out),
            Self::TimestampTz(a) => text::timestamp(a.value(row), "+00", out),
            Self::Interval(a) => {
                let v = a.value(row);
                text::interval(v.months, v.days, v.nanoseconds / 1000, out);
            }
            Self::Duration(a) => text::interval(0, 0, a.value(row), out),
            Self::List(list, items, _) => {
                let offsets = list.value_offsets();
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let mut item = BytesMut::new();
                out.put_u8(b'{');
                for at in start..end {
                    if at > start {
                        out.put_u8(b',');
                    }
                    if items.is_null(at) {
                        out.put_slice(b"NULL");
                        continue;
                    }
                    item.clear();
                    items.write_text(at, &mut item);
                    text::element(&item, out);
                }
                out.put_u8(b'}');
            }
        }
    }

    /// Writes the value at `row`, which is not null, as PostgreSQL sends it in
    /// binary.
    pub(super) fn write_binary(&self, row: usize, out: &mut BytesMut) {
        match self {
            Self::Null => {}
            Self::Bool(a) => out.put_u8(u8::from(a.value(row))),
            Self::Int2(a) => out.put_i16(a.value(row)),
            Self::Int4(a) => out.put_i32(a.value(row)),
            Self::Int8(a) => out.put_i64(a.value(row)),
            Self::Oid(a) => out.put_u32(u32::try_from(a.value(row)).unwrap_or(0)),
            Self::Float4(a) => out.put_f32(a.value(row)),
            Self::Float8(a) => out.put_f64(a.value(row)),
            Self::Numeric(a) => numeric::write(&a.value_as_string(row), a.scale(), out),
            Self::LongNumeric(a) => numeric::write(&a.value_as_string(row), a.scale(), out),
            Self::Text(a) => text::text(a.value(row), out),
            Self::LongText(a) => text::text(a.value(row), out),
            Self::Char(a) => out.put_u8(a.value(row).bytes().next().unwrap_or(0)),
            Self::Bytes(a) => out.put_slice(a.value(row)),
            Self::LongBytes(a) => out.put_slice(a.value(row)),
            Self::Date(a) => out.put_i32(a.value(row).saturating_sub(EPOCH_DAYS)),
            Self::Time(a) => out.put_i64(a.value(row)),
            Self::Timestamp(a) | Self::TimestampTz(a) => {
                out.put_i64(a.value(row).saturating_sub(EPOCH_MICROS));
            }
            Self::Interval(a) => {
                let v = a.value(row);
                out.put_i64(v.nanoseconds / 1000);
                out.put_i32(v.days);
                out.put_i32(v.months);
            }
            Self::Duration(a) => {
                out.put_i64(a.value(row));
                out.put_i64(0);
            }
            Self::List(list, items, kind) => write_array(list, items, kind, row, out),
        }
    }
}

/// One dimension, counted from 1; none for an empty array.
fn write_array(list: &ListArray, items: &Cell, kind: &Type, row: usize, out: &mut BytesMut) {
    let offsets = list.value_offsets();
    let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    let nulls = (start..end).any(|at| items.is_null(at));
    out.put_i32(i32::from(end > start));
    out.put_i32(i32::from(nulls));
    out.put_u32(kind.oid());
    if end == start {
        return;
    }
    out.put_i32(offsets[row + 1] - offsets[row]);
    out.put_i32(1);
    for at in start..end {
        if items.is_null(at) {
            out.put_i32(-1);
            continue;
        }
        let place = out.len();
        out.put_i32(0);
        items.write_binary(at, out);
        let length = i32::try_from(out.len() - place - 4).unwrap_or(i32::MAX);
        out[place..place + 4].copy_from_slice(&length.to_be_bytes());
    }
}
