//! Values of parameters, as clients send them.

use bytes::{Buf as _, Bytes};
use cairn_query::{Param, ScalarValue};
use pgwire::api::Type;

use super::error::{PgError, state};
use super::frontend::Fields;
use super::types::{self, Format};

/// From PostgreSQL's epoch to the one that all others have.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

fn bad_binary(at: usize, kind: &Type) -> PgError {
    PgError::new(
        state::BAD_BINARY_OF_TYPE,
        format!("the value of ${at} is no {kind} in binary"),
    )
}

fn bad_text(at: usize, kind: &Type) -> PgError {
    PgError::new(
        state::BAD_TEXT_OF_TYPE,
        format!("the value of ${at} is no {kind}"),
    )
}

/// The value of `$at`, which is of `kind` where that is known.
pub(super) fn param(
    at: usize,
    value: Option<Bytes>,
    format: Format,
    kind: Option<&Type>,
) -> Result<Param, PgError> {
    let Some(value) = value else {
        let null = kind.and_then(types::engine_type);
        let null = null.and_then(|t| ScalarValue::try_from(&t).ok());
        return Ok(null.map_or(Param::Text(None), Param::Typed));
    };
    match (format, kind) {
        (Format::Text, kind) => as_text(at, text(value)?, kind),
        (Format::Binary, Some(kind)) => as_binary(at, value, kind),
        (Format::Binary, None) => Ok(Param::Text(Some(text(value)?))),
    }
}

fn text(value: Bytes) -> Result<String, PgError> {
    let wrong = || {
        PgError::new(
            state::BAD_TEXT,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    };
    if memchr::memchr(0, &value).is_some() {
        return Err(wrong());
    }
    String::from_utf8(value.into()).map_err(|_| wrong())
}

/// A text of a type that the engine has a value for is one of that type, also
/// where the statement would take any. Of others the statement decides.
fn as_text(at: usize, text: String, kind: Option<&Type>) -> Result<Param, PgError> {
    let Some(kind) = kind else {
        return Ok(Param::Text(Some(text)));
    };
    if *kind == Type::BYTEA {
        let bytes = text.strip_prefix("\\x").map(hex::decode);
        return match bytes {
            Some(Ok(bytes)) => Ok(ScalarValue::Binary(Some(bytes)).into()),
            _ => Err(bad_text(at, kind).hint("write bytes as \\x and hexadecimal digits")),
        };
    }
    match types::engine_type(kind) {
        None => Ok(Param::Text(Some(text))),
        Some(wanted) => ScalarValue::Utf8(Some(text))
            .cast_to(&wanted)
            .map(Param::Typed)
            // The engine's words would quote the value.
            .map_err(|_| bad_text(at, kind)),
    }
}

fn fixed<const N: usize>(at: usize, value: &[u8], kind: &Type) -> Result<[u8; N], PgError> {
    value.try_into().map_err(|_| bad_binary(at, kind))
}

fn as_binary(at: usize, value: Bytes, kind: &Type) -> Result<Param, PgError> {
    let bytes = value.as_ref();
    let scalar = match *kind {
        Type::BOOL => ScalarValue::Boolean(Some(fixed::<1>(at, bytes, kind)?[0] != 0)),
        Type::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(fixed(at, bytes, kind)?))),
        Type::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(fixed(at, bytes, kind)?))),
        Type::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(fixed(at, bytes, kind)?))),
        Type::OID => {
            let oid = u32::from_be_bytes(fixed(at, bytes, kind)?);
            ScalarValue::Int64(Some(i64::from(oid)))
        }
        Type::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(at, bytes, kind)?))),
        Type::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(at, bytes, kind)?))),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => {
            ScalarValue::Utf8(Some(text(value)?))
        }
        Type::UNKNOWN | Type::JSON => return Ok(Param::Text(Some(text(value)?))),
        Type::JSONB => {
            let mut value = value;
            if value.first() != Some(&1) {
                return Err(bad_binary(at, kind));
            }
            value.advance(1);
            return Ok(Param::Text(Some(text(value)?)));
        }
        Type::BYTEA => ScalarValue::Binary(Some(value.into())),
        Type::UUID => {
            let id = hex::encode(fixed::<16>(at, bytes, kind)?);
            let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
            return Ok(Param::Text(Some(parts.join("-"))));
        }
        Type::DATE => {
            let days = i32::from_be_bytes(fixed(at, bytes, kind)?);
            ScalarValue::Date32(Some(days.saturating_add(EPOCH_DAYS)))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros = i64::from_be_bytes(fixed(at, bytes, kind)?);
            let zone = (*kind == Type::TIMESTAMPTZ).then(|| "UTC".into());
            ScalarValue::TimestampMicrosecond(Some(micros.saturating_add(EPOCH_MICROS)), zone)
        }
        Type::NUMERIC => return Ok(Param::Text(Some(numeric(at, value)?))),
        _ if types::item_of(kind).is_some() => return array(at, value, kind),
        _ => {
            return Err(PgError::new(
                state::FEATURE_NOT_SUPPORTED,
                format!("parameters of type {kind} are not taken in binary"),
            )
            .hint("send it as text"));
        }
    };
    Ok(scalar.into())
}

/// An array of one dimension, or of none.
fn array(at: usize, value: Bytes, kind: &Type) -> Result<Param, PgError> {
    let wrong = || bad_binary(at, kind);
    let mut fields = Fields(value);
    let mut int = || fields.int().map_err(|_| wrong());
    let (dimensions, _nulls, oid) = (int()?, int()?, int()?);
    let named = u32::try_from(oid).ok().and_then(Type::from_oid);
    let item = named.ok_or_else(wrong)?;
    let of = types::engine_type(&item).ok_or_else(wrong)?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = int()?;
            // Where it begins to count is of no account here.
            int()?;
            count
        }
        _ => return Err(wrong().hint("arrays have one dimension here")),
    };
    let mut items = Vec::new();
    for _ in 0..count {
        let length = fields.int().map_err(|_| wrong())?;
        let scalar = match usize::try_from(length) {
            Ok(length) => match as_binary(at, fields.take(length).map_err(|_| wrong())?, &item)? {
                Param::Typed(scalar) => scalar,
                Param::Text(_) => return Err(wrong()),
            },
            Err(_) => ScalarValue::try_from(&of).map_err(|_| wrong())?,
        };
        items.push(scalar);
    }
    match fields.is_empty() {
        true => Ok(ScalarValue::List(ScalarValue::new_list_nullable(&items, &of)).into()),
        false => Err(wrong()),
    }
}

/// A `numeric` of groups of four digits, as text.
fn numeric(at: usize, mut value: Bytes) -> Result<String, PgError> {
    let wrong = || bad_binary(at, &Type::NUMERIC);
    if value.len() < 8 {
        return Err(wrong());
    }
    let count = usize::from(value.get_u16());
    let weight = i32::from(value.get_i16());
    let sign = value.get_u16();
    let scale = usize::from(value.get_u16());
    if value.len() != count * 2 || !matches!(sign, 0 | 0x4000) || weight.abs() > 100 || scale > 400
    {
        return Err(wrong());
    }
    let groups: Vec<u16> = (0..count).map(|_| value.get_u16()).collect();
    if groups.iter().any(|g| *g > 9999) {
        return Err(wrong());
    }
    let group = |index: i32| {
        let index = usize::try_from(index).ok();
        index.and_then(|i| groups.get(i)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    for index in 0..=weight.max(0) {
        let digits = if weight < 0 { 0 } else { group(index) };
        text.push_str(&format!("{digits:04}"));
    }
    let whole = text.trim_start_matches('0');
    let mut text = if whole.is_empty() {
        "0".to_owned()
    } else {
        whole.to_owned()
    };
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4)).unwrap_or(0);
        let part: String = (0..groups)
            .map(|index| format!("{:04}", group(weight + 1 + index)))
            .collect();
        text.push('.');
        text.push_str(&part[..scale]);
    }
    Ok(if sign == 0 { text } else { format!("-{text}") })
}

#[cfg(test)]
mod tests;
