//! PostgreSQL's types: their numbers and names, and which of them a column of
//! ours has.
//!
//! `data/types.tsv` holds the rows of PostgreSQL's own `pg_type`, as the crate
//! datafusion-pg-catalog (Apache-2.0) ships them.

use std::sync::LazyLock;

use arrow::datatypes::{DataType, Field};

/// The metadata of a column that holds numbers of objects: the doors that
/// speak PostgreSQL's protocol know it by this key.
pub(crate) const OID_KEY: &str = "pg.oid_alias";
/// The metadata of a column that holds single letters.
pub(crate) const CHAR_KEY: &str = "pg.char";

/// The number of `json`.
const JSON: i32 = 114;

/// One type.
#[derive(Debug)]
pub(crate) struct PgType {
    pub(crate) oid: i32,
    pub(crate) name: &'static str,
    pub(crate) len: i16,
    pub(crate) by_value: bool,
    pub(crate) kind: &'static str,
    pub(crate) category: &'static str,
    pub(crate) preferred: bool,
    pub(crate) delim: &'static str,
    pub(crate) elem: i32,
    pub(crate) array: i32,
    pub(crate) align: &'static str,
    pub(crate) storage: &'static str,
    pub(crate) input: &'static str,
    pub(crate) output: &'static str,
    pub(crate) receive: &'static str,
    pub(crate) send: &'static str,
}

static TYPES: LazyLock<Vec<PgType>> = LazyLock::new(|| {
    include_str!("data/types.tsv")
        .lines()
        .filter_map(parse)
        .collect()
});

fn parse(line: &'static str) -> Option<PgType> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [
        oid,
        name,
        len,
        by_value,
        kind,
        category,
        preferred,
        delim,
        elem,
        array,
        align,
        storage,
        input,
        output,
        receive,
        send,
    ] = fields.try_into().ok()?;
    Some(PgType {
        oid: oid.parse().ok()?,
        name,
        len: len.parse().ok()?,
        by_value: by_value == "t",
        kind,
        category,
        preferred: preferred == "t",
        delim,
        elem: elem.parse().ok()?,
        array: array.parse().ok()?,
        align,
        storage,
        input,
        output,
        receive,
        send,
    })
}

/// Every type.
pub(crate) fn all() -> &'static [PgType] {
    &TYPES
}

/// The type of that number.
pub(crate) fn get(oid: i32) -> Option<&'static PgType> {
    TYPES.iter().find(|t| t.oid == oid)
}

/// Whether it is an array of another type; `name` and the vectors have
/// elements, and are none.
pub(crate) fn is_array(t: &PgType) -> bool {
    t.len == -1 && t.elem != 0
}

/// SQL's word for a type, where it is not PostgreSQL's own.
const WORDS: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("varbit", "bit varying"),
    ("char", "\"char\""),
];

/// The type as people read it: `timestamp with time zone`, `text[]`.
pub(crate) fn shown(oid: i32) -> String {
    let Some(t) = get(oid) else {
        return if oid == 0 { "-" } else { "???" }.to_owned();
    };
    if is_array(t) && t.name.starts_with('_') {
        return format!("{}[]", shown(t.elem));
    }
    let word = WORDS.iter().find(|(name, _)| *name == t.name);
    word.map_or(t.name, |(_, word)| word).to_owned()
}

/// The same with what the type was narrowed to: `character varying(10)`.
pub(crate) fn shown_with(oid: i32, modifier: i32) -> String {
    let plain = shown(oid);
    match get(oid).map(|t| t.name) {
        Some("varchar" | "bpchar") if modifier >= 4 => format!("{plain}({})", modifier - 4),
        Some("numeric") if modifier >= 4 => {
            let both = modifier - 4;
            format!("{plain}({},{})", both >> 16, both & 0x7ff)
        }
        _ => plain,
    }
}

/// The type that a name stands for: PostgreSQL's, SQL's, or an array of one.
pub(crate) fn named(name: &str) -> Option<&'static PgType> {
    let name = name.trim().trim_start_matches("pg_catalog.");
    if let Some(item) = name.strip_suffix("[]") {
        return get(named(item)?.array);
    }
    let name = name.split('(').next().unwrap_or(name).trim();
    let lower = match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_ascii_lowercase(),
    };
    let lower = match lower.as_str() {
        "int" => "int4",
        "decimal" => "numeric",
        "float" => "float8",
        // SQL's char is bpchar; only the quoted one is the single letter.
        "char" if !name.starts_with('"') => "bpchar",
        other => match WORDS.iter().find(|(_, word)| *word == other) {
            Some((short, _)) => short,
            None => other,
        },
    };
    TYPES.iter().find(|t| t.name == lower)
}

/// The type that a column of ours has on PostgreSQL's wire.
pub(crate) fn of(field: &Field) -> i32 {
    let alias = field.metadata().get(OID_KEY).map(String::as_str);
    if let Some(alias) = alias.and_then(named) {
        return alias.oid;
    }
    if field.metadata().contains_key(CHAR_KEY) {
        return 18;
    }
    of_arrow(field.data_type())
}

fn of_arrow(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Boolean => 16,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 | DataType::UInt32 => 20,
        DataType::UInt64 | DataType::Decimal128(..) => 1700,
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Timestamp(_, None) => 1114,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Interval(_) | DataType::Duration(_) => 1186,
        DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::LargeBinary
        | DataType::BinaryView => 17,
        DataType::Dictionary(_, value) => of_arrow(value),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match of(item) {
                // Neither a list of lists nor one of structs is an array.
                JSON => JSON,
                item => get(item).filter(|t| !is_array(t)).map_or(JSON, |t| t.array),
            }
        }
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 25,
        // What PostgreSQL has no type for is written as JSON.
        _ => JSON,
    }
}

#[cfg(test)]
mod tests;
