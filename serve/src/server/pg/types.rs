//! Which of PostgreSQL's types a column has.
//!
//! A column that PostgreSQL has no type for (a struct, a map, a list of lists)
//! is `json`: the same text in both formats, and every client can read it.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow_pg::datatypes::{PG_CHAR_KEY, PG_OID_ALIAS_KEY, pg_type_for_alias_kind};
use pgwire::api::Type;
use pgwire::messages::data::{FieldDescription, RowDescription};

use super::error::{PgError, state};

/// How a column's values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Binary,
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) format: Format,
}

/// The elements that a list may have and still be an array.
fn element(of: &DataType) -> Option<Type> {
    let kind = scalar(of)?;
    // PostgreSQL has no array of unknown; an empty list is one of text.
    array_of(&kind).map(|_| kind)
}

/// Each type that arrays are made of, and the type of such arrays.
const ARRAYS: [(Type, Type); 15] = [
    (Type::BOOL, Type::BOOL_ARRAY),
    (Type::INT2, Type::INT2_ARRAY),
    (Type::INT4, Type::INT4_ARRAY),
    (Type::INT8, Type::INT8_ARRAY),
    (Type::FLOAT4, Type::FLOAT4_ARRAY),
    (Type::FLOAT8, Type::FLOAT8_ARRAY),
    (Type::NUMERIC, Type::NUMERIC_ARRAY),
    (Type::TEXT, Type::TEXT_ARRAY),
    (Type::BYTEA, Type::BYTEA_ARRAY),
    (Type::DATE, Type::DATE_ARRAY),
    (Type::TIME, Type::TIME_ARRAY),
    (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
    (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
    (Type::INTERVAL, Type::INTERVAL_ARRAY),
    (Type::OID, Type::OID_ARRAY),
];

/// The type of arrays of `kind`.
pub(super) fn array_of(kind: &Type) -> Option<Type> {
    let found = ARRAYS.iter().find(|(item, _)| item == kind);
    found.map(|(_, array)| array.clone())
}

/// What arrays of the type `kind` are made of.
pub(super) fn item_of(kind: &Type) -> Option<Type> {
    let found = ARRAYS.iter().find(|(_, array)| array == kind);
    found.map(|(item, _)| item.clone())
}

fn scalar(of: &DataType) -> Option<Type> {
    Some(match of {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::TEXT,
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 | DataType::UInt32 => Type::INT8,
        DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => Type::NUMERIC,
        DataType::Decimal32(..) | DataType::Decimal64(..) => Type::NUMERIC,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Dictionary(_, value) => return scalar(value),
        _ => return None,
    })
}

fn is_whole_number(of: &DataType) -> bool {
    matches!(of, DataType::Int32 | DataType::UInt32 | DataType::Int64)
}

/// The type of the column `field`.
///
/// Tables that stand for PostgreSQL's catalog mark columns that are object ids
/// or single characters, in the words of arrow-pg.
pub(super) fn of(field: &Field) -> Type {
    let marks = field.metadata();
    let alias = marks.get(PG_OID_ALIAS_KEY);
    if let Some(kind) = alias.and_then(|kind| pg_type_for_alias_kind(kind))
        && is_whole_number(field.data_type())
    {
        return kind;
    }
    if marks.contains_key(PG_CHAR_KEY) && field.data_type() == &DataType::Utf8 {
        return Type::CHAR;
    }
    match field.data_type() {
        DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _) => {
            let marked = inner.metadata().get(PG_OID_ALIAS_KEY).is_some()
                && is_whole_number(inner.data_type());
            match element(inner.data_type()) {
                Some(_) if marked => Type::OID_ARRAY,
                Some(kind) => array_of(&kind).unwrap_or(Type::JSON),
                None => Type::JSON,
            }
        }
        other => scalar(other).unwrap_or(Type::JSON),
    }
}

/// What a parameter of `kind` is to the engine; `None` for types that it is to
/// take as it comes.
pub(super) fn engine_type(kind: &Type) -> Option<DataType> {
    Some(match *kind {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}

/// How many bytes a value has, or -1.
fn width(kind: &Type) -> i16 {
    match *kind {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        _ if pg_alias(kind) => 4,
        _ => -1,
    }
}

/// Whether values of `kind` are object ids by another name.
pub(super) fn pg_alias(kind: &Type) -> bool {
    matches!(
        *kind,
        Type::OID
            | Type::REGPROC
            | Type::REGPROCEDURE
            | Type::REGOPER
            | Type::REGOPERATOR
            | Type::REGCLASS
            | Type::REGTYPE
            | Type::REGNAMESPACE
            | Type::REGROLE
            | Type::REGCONFIG
            | Type::REGDICTIONARY
            | Type::REGCOLLATION
    )
}

/// The format of the column at `index`, by the codes that a client gave.
fn format(codes: &[i16], index: usize) -> Result<Format, PgError> {
    let code = match codes {
        [] => 0,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(0),
    };
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(PgError::new(
            state::BAD_PARAMETER,
            format!("unsupported format code: {other}"),
        )),
    }
}

/// The formats of `count` things.
pub(super) fn formats(codes: &[i16], count: usize, what: &str) -> Result<Vec<Format>, PgError> {
    if codes.len() > 1 && codes.len() != count {
        return Err(PgError::protocol(format!(
            "bind message has {} {what} formats but there are {count}",
            codes.len()
        )));
    }
    (0..count).map(|index| format(codes, index)).collect()
}

/// The columns of an answer, written as `codes` say.
pub(super) fn columns(schema: &Schema, codes: &[i16]) -> Result<Vec<Column>, PgError> {
    let formats = formats(codes, schema.fields().len(), "result")?;
    let fields = schema.fields().iter().zip(formats);
    Ok(fields
        .map(|(field, format)| Column {
            name: field.name().clone(),
            kind: of(field),
            format,
        })
        .collect())
}

/// Has `columns` written as `codes` say.
pub(super) fn reformat(columns: &mut [Column], codes: &[i16]) -> Result<(), PgError> {
    let formats = formats(codes, columns.len(), "result")?;
    for (column, format) in columns.iter_mut().zip(formats) {
        column.format = format;
    }
    Ok(())
}

/// The type that a parameter is said to have which the engine wants as `wanted`;
/// text where it would take anything.
pub(super) fn of_parameter(wanted: &Option<DataType>) -> Type {
    match wanted {
        Some(wanted) => of(&Field::new("", wanted.clone(), true)),
        None => Type::TEXT,
    }
}

/// What a client is told of them.
pub(super) fn description(columns: &[Column]) -> RowDescription {
    let fields = columns.iter().map(|column| {
        FieldDescription::new(
            // A zero byte would end the name early.
            column.name.replace('\0', "\u{fffd}"),
            0,
            0,
            column.kind.oid(),
            width(&column.kind),
            -1,
            match column.format {
                Format::Text => 0,
                Format::Binary => 1,
            },
        )
    });
    RowDescription::new(fields.collect())
}
