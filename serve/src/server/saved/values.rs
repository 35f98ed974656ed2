//! The values of parameters: as given, or as their defaults say.

use std::collections::BTreeMap;

use cairn_query::{Param, Question, ScalarValue, Template};
use cairn_schemas::Micros;
use cairn_schemas::saved::{Parameter, ParameterKind};
use serde_json::Value;

use crate::server::http::error::ApiError;

const SECOND: i64 = 1_000_000;

/// The question that `sql` asks with these values. They are bound, and never
/// become part of the text.
pub fn bound(
    sql: &str,
    parameters: &[Parameter],
    given: &BTreeMap<String, Value>,
    now: Micros,
) -> Result<Question, ApiError> {
    let template = Template::new(sql)?;
    if let Some(unknown) = given
        .keys()
        .find(|g| parameters.iter().all(|p| p.name != **g))
    {
        let names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        let error = ApiError::invalid(format!("there is no parameter {unknown:?}"));
        return Err(match names.as_slice() {
            [] => error.hint("the query has no parameters"),
            names => error.hint(format!("the parameters are {}", names.join(", "))),
        });
    }
    let params = template.names.iter().map(|name| {
        let parameter = parameters.iter().find(|p| p.name == *name);
        let parameter = parameter
            .ok_or_else(|| ApiError::invalid(format!("the parameter :{name} is not declared")))?;
        value(parameter, given.get(name), now).map(Param::Typed)
    });
    Ok(Question {
        params: params.collect::<Result<_, ApiError>>()?,
        ..template.sql.into()
    })
}

/// Whether the default is a value of its type.
pub fn check_default(parameter: &Parameter, now: Micros) -> Result<(), ApiError> {
    match &parameter.default {
        Some(_) => value(parameter, None, now).map(|_| ()),
        None => Ok(()),
    }
}

fn value(
    parameter: &Parameter,
    given: Option<&Value>,
    now: Micros,
) -> Result<ScalarValue, ApiError> {
    let name = &parameter.name;
    let text = match (given, &parameter.default) {
        (Some(Value::String(text)), _) => text.clone(),
        (Some(Value::Number(number)), _) => number.to_string(),
        (Some(Value::Bool(truth)), _) => truth.to_string(),
        (None, Some(default)) => default.clone(),
        (None, None) => {
            return Err(
                ApiError::invalid(format!("the parameter {name} has no value"))
                    .hint(format!("give one: --param {name}=… ({})", parameter.kind)),
            );
        }
        (Some(_), _) => {
            return Err(ApiError::invalid(format!(
                "the value of {name} has to be a text, a number, true or false"
            )));
        }
    };
    let typed = match parameter.kind {
        ParameterKind::Text => Some(ScalarValue::from(text.as_str())),
        ParameterKind::Bigint => text
            .trim()
            .parse()
            .ok()
            .map(|n| ScalarValue::Int64(Some(n))),
        ParameterKind::Double => {
            let number = text.trim().parse().ok().filter(|n: &f64| n.is_finite());
            number.map(|n| ScalarValue::Float64(Some(n)))
        }
        ParameterKind::Boolean => {
            let truth = text.trim().parse().ok();
            truth.map(|t| ScalarValue::Boolean(Some(t)))
        }
        ParameterKind::Timestamp => moment(text.trim(), now)
            .map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))),
    };
    typed.ok_or_else(|| {
        let error = ApiError::invalid(format!("the value of {name} is no {}", parameter.kind));
        match parameter.kind {
            ParameterKind::Timestamp => {
                error.hint("write 2026-01-02T03:04:05Z, 2026-01-02, now, -7d, -12h or -30m")
            }
            _ => error,
        }
    })
}

/// A moment, or so long before now.
fn moment(text: &str, now: Micros) -> Option<i64> {
    if text == "now" {
        return Some(now.0);
    }
    let Some(ago) = text.strip_prefix('-') else {
        return cairn_query::moment(text).map(|t| t.0);
    };
    let (number, unit) = ago.split_at_checked(ago.len().checked_sub(1)?)?;
    let each = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|n| *n >= 0)?;
    now.0
        .checked_sub(number.checked_mul(each)?.checked_mul(SECOND)?)
}

#[cfg(test)]
mod tests;
