//! What is asked, and what is known of a statement before it is asked.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::asof::AsOf;
use crate::error::{Exceeded, QueryError};
use crate::output::plain_type;
use crate::pg::{Settings, lists};

/// The most that the parameters of one statement may take, in bytes.
const PARAMETERS: usize = 1 << 20;
/// The highest number that a parameter may have.
const HIGHEST: usize = 65_535;

/// The value of `$1`, `$2` and so on.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// A value whose type the caller knows.
    Typed(ScalarValue),
    /// Text that stands for a value of whatever type the statement wants
    /// there; text where it does not say. `None` is null.
    Text(Option<String>),
}

impl From<ScalarValue> for Param {
    fn from(value: ScalarValue) -> Self {
        Self::Typed(value)
    }
}

/// A statement, and how it is to be answered. `"SELECT …".into()` makes one
/// with no more than that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// The statement.
    pub sql: String,
    /// The values of `$1`, `$2` and so on.
    pub params: Vec<Param>,
    /// An answer of more rows than this ends with an error. The engine's own
    /// limit holds as well.
    pub max_rows: Option<u64>,
    /// The state of the tables that is asked about; now, if `None`. A table
    /// that the statement itself gives a time or a version keeps that.
    pub as_of: Option<AsOf>,
    /// Nobody waits for the answer: the engine's limit of time for such queries
    /// holds.
    pub background: bool,
    /// At most so long, and no longer than the engine's own limit.
    pub timeout: Option<Duration>,
    /// At most so much memory, in bytes, and no more than the engine's own limit.
    pub memory: Option<usize>,
    /// The settings of the connection that it comes from, if that speaks
    /// PostgreSQL's protocol.
    pub settings: Option<Arc<Settings>>,
}

impl From<&str> for Question {
    fn from(sql: &str) -> Self {
        sql.to_owned().into()
    }
}

impl From<&String> for Question {
    fn from(sql: &String) -> Self {
        sql.clone().into()
    }
}

impl From<String> for Question {
    fn from(sql: String) -> Self {
        Self {
            sql,
            ..Self::default()
        }
    }
}

/// What is known of a statement that was planned and not run.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The types of `$1`, `$2` and so on, as the statement wants them; `None`
    /// where any would do.
    pub parameters: Vec<Option<DataType>>,
    /// The columns that the answer will have.
    pub schema: SchemaRef,
    /// The tables that the statement speaks of, as
    /// [`crate::QueryStream::tables`] has them.
    pub tables: Vec<String>,
}

/// The types of the parameters of `plan`, in the order of their numbers.
pub(crate) fn parameters(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>, QueryError> {
    let mut found: Vec<Found> = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        let counts = matches!(node, LogicalPlan::Limit(_));
        let columns = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                // x = ANY($1): a list of what x is.
                if let Expr::ScalarFunction(call) = expr
                    && call.name() == "array_has"
                    && let [Expr::Placeholder(list), item] = call.args.as_slice()
                    && list.field.is_none()
                    && let Ok(item) = item.get_type(&columns)
                    && !item.is_null()
                {
                    let wanted = DataType::new_list(plain_type(&item), true);
                    note(&mut found, &list.id, Some(wanted))?;
                }
                if let Expr::Placeholder(placeholder) = expr {
                    let field = placeholder.field.as_ref();
                    let wanted = match counts {
                        true => Some(DataType::Int64),
                        false => field.map(|f| plain_type(f.data_type())),
                    };
                    note(&mut found, &placeholder.id, wanted)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|e| QueryError::planning(&e))?;
    Ok(found.into_iter().map(Found::into_type).collect())
}

/// What the statement says of one parameter.
#[derive(Clone, Debug, Default, PartialEq)]
enum Found {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It has to be this.
    One(DataType),
    /// It stands in places of different types.
    Several,
}

impl Found {
    fn into_type(self) -> Option<DataType> {
        match self {
            Self::One(data_type) => Some(data_type),
            Self::Nothing | Self::Several => None,
        }
    }
}

fn note(found: &mut Vec<Found>, id: &str, wanted: Option<DataType>) -> Result<(), DataFusionError> {
    let number = number_of(id)?;
    if found.len() < number {
        found.resize(number, Found::Nothing);
    }
    // A type that is not known stands as null in places.
    let wanted = wanted.filter(|t| *t != DataType::Null);
    let (Some(slot), Some(wanted)) = (found.get_mut(number - 1), wanted) else {
        return Ok(());
    };
    *slot = match std::mem::take(slot) {
        Found::Nothing => Found::One(wanted),
        Found::One(known) if known == wanted => Found::One(known),
        _ => Found::Several,
    };
    Ok(())
}

fn number_of(id: &str) -> Result<usize, QueryError> {
    let number = id.strip_prefix('$').and_then(|n| n.parse().ok());
    number.filter(|n| (1..=HIGHEST).contains(n)).ok_or_else(|| {
        QueryError::invalid(format!("{} is not a parameter", shortened(id)))
            .with_hint("parameters are $1, $2 and so on")
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(20).collect()
}

/// `plan` with the values of its parameters.
pub(crate) fn bind(plan: LogicalPlan, params: &[Param]) -> Result<LogicalPlan, QueryError> {
    let wanted = parameters(&plan)?;
    if wanted.len() != params.len() {
        let text = format!(
            "the statement has {} parameters, and {} values came with it",
            wanted.len(),
            params.len()
        );
        return Err(QueryError::invalid(text).with_hint("parameters are $1, $2 and so on"));
    }
    if wanted.is_empty() {
        return Ok(plan);
    }
    let values = wanted
        .iter()
        .zip(params)
        .enumerate()
        .map(|(at, (wanted, param))| value(at + 1, wanted.as_ref(), param))
        .collect::<Result<Vec<ScalarValue>, _>>()?;
    if values.iter().map(ScalarValue::size).sum::<usize>() > PARAMETERS {
        let text = format!("the values of the parameters take more than {PARAMETERS} bytes");
        return Err(QueryError::limit(Exceeded::Statement, text));
    }
    plan.with_param_values(values)
        .map_err(|e| QueryError::planning(&e))
}

/// Refuses values for a statement that has no place for any.
pub(crate) fn none(params: &[Param]) -> Result<(), QueryError> {
    match params.is_empty() {
        true => Ok(()),
        false => Err(QueryError::invalid("this statement takes no parameters")),
    }
}

/// Nulls in the place of all parameters, for a statement that is only planned.
pub(crate) fn nulls(wanted: &[Option<DataType>]) -> Vec<Param> {
    let null = |data_type: &Option<DataType>| match data_type {
        Some(data_type) => ScalarValue::try_from(data_type)
            .map(Param::Typed)
            .unwrap_or(Param::Text(None)),
        None => Param::Text(None),
    };
    wanted.iter().map(null).collect()
}

fn value(at: usize, wanted: Option<&DataType>, param: &Param) -> Result<ScalarValue, QueryError> {
    let text = match param {
        Param::Typed(value) => return Ok(value.clone()),
        Param::Text(text) => ScalarValue::Utf8(text.clone()),
    };
    // A text would become the only item.
    if let (Some(DataType::List(item)), Param::Text(Some(written))) = (wanted, param) {
        return lists::value(written, item.data_type()).ok_or_else(|| {
            QueryError::invalid(format!("the value of ${at} is not a list of such items"))
                .with_hint("a list is written {a,b,c}")
        });
    }
    let Some(wanted) = wanted.filter(|t| **t != DataType::Utf8) else {
        return Ok(text);
    };
    // The engine's words would quote the value.
    let refused = |_| {
        let name = crate::describe::type_name(wanted);
        QueryError::invalid(format!("the value of ${at} is not a {name}"))
    };
    text.cast_to(wanted).map_err(refused)
}

#[cfg(test)]
mod tests;
