//! The functions that a statement may call: the engine's own, less those that
//! tell of files and settings, and with a bound on those that make texts and
//! lists of any size from little.
//!
//! What a function makes is counted when it is there ([`crate::meter`]), and
//! constants are worked out while planning. So the size is reckoned from the
//! arguments before anything is made.

mod json;
mod lambda;
mod native;
mod nested;
mod reference;
mod texts;
mod times;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::compute::kernels::length::length;
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DFSchema, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

pub(crate) use json::map_type;
pub(crate) use lambda::{bounded, higher_order};
pub(crate) use native::{arrays, moment, over_rows};
pub(crate) use nested::{lake_resource, places};
pub use reference::reference_page;

use crate::error::{Exceeded, QueryError};

/// Not offered, and why.
const LEFT_OUT: &[&str] = &[
    // Which engine this is helps nobody but an attacker.
    "version",
    // They tell of files.
    "input_file_name",
    "file_row_index",
    // Lists of any length from two numbers.
    "range",
    "generate_series",
    "gen_series",
];

/// The most that one call may make of one batch of rows, in bytes. The gate
/// bounds how many such calls a statement has, and how many rows a batch of
/// theirs.
pub(crate) const MADE: u64 = 8 << 20;
/// The most that a call may make of constants: the result is spread over rows.
pub(crate) const CONSTANT: u64 = 64 << 10;
/// The most steps that one call may take over one batch of rows.
const STEPS: u64 = 1 << 30;

/// How much a call makes of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Size {
    /// The first, as often as the second says.
    Repeat,
    /// As many letters, of up to four bytes, as the second says.
    Pad,
    /// Each of the second in the first becomes the third.
    Replace,
    /// The third at each place of the first, the whole match in each.
    Match,
    /// As many of the third as the second says.
    Fill,
    /// The third, as often as the first has items.
    ReplaceItems,
    /// The second, as often as the first has items.
    Separate,
    /// All of them.
    Sum,
    /// Twice the first.
    Twice,
    /// Nothing much.
    Small,
    /// Nothing much, in as many steps as the lengths multiplied.
    Product,
}

const BOUNDED: &[(&str, Size)] = &[
    ("repeat", Size::Repeat),
    ("array_repeat", Size::Repeat),
    ("lpad", Size::Pad),
    ("rpad", Size::Pad),
    ("replace", Size::Replace),
    ("regexp_replace", Size::Match),
    ("array_resize", Size::Fill),
    ("array_replace", Size::ReplaceItems),
    ("array_replace_n", Size::ReplaceItems),
    ("array_replace_all", Size::ReplaceItems),
    ("array_to_string", Size::Separate),
    ("concat", Size::Sum),
    ("concat_ws", Size::Sum),
    ("overlay", Size::Sum),
    ("make_array", Size::Sum),
    ("array_concat", Size::Sum),
    ("array_append", Size::Sum),
    ("array_prepend", Size::Sum),
    ("encode", Size::Twice),
    ("levenshtein", Size::Product),
];

const JOINED: &str = "text_concat";

/// Whether the function can make a long text or list of short ones.
pub(crate) fn grows(name: &str) -> bool {
    name == JOINED || BOUNDED.iter().any(|(bounded, _)| *bounded == name)
}

/// The functions of our own.
fn own() -> impl Iterator<Item = &'static native::Function> {
    [json::ALL, nested::ALL, times::ALL, texts::ALL]
        .into_iter()
        .flatten()
}

/// Whether a function of that name takes lambdas.
pub(crate) fn takes_lambda(name: &str) -> bool {
    let known =
        |(_, known, aliases, ..): &lambda::Described| *known == name || aliases.contains(&name);
    name == lambda::REDUCE || lambda::ALL.iter().any(known)
}

/// Every scalar function on offer: the engine's, and in place of those of the
/// same name our own.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let engines = SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .filter(|f| !LEFT_OUT.contains(&f.name()))
        .filter(|f| own().all(|own| own.name != f.name()))
        .map(|f| {
            let size = BOUNDED.iter().find(|(name, _)| *name == f.name());
            let is_own = |alias: &&String| own().any(|own| own.name == alias.as_str());
            match size {
                None if !f.aliases().iter().any(|a| is_own(&a)) => f,
                size => Arc::new(ScalarUDF::new_from_impl(Bounded {
                    size: size.map_or(Size::Small, |(_, size)| *size),
                    aliases: f.aliases().iter().filter(|a| !is_own(a)).cloned().collect(),
                    inner: f,
                })),
            }
        });
    engines.chain(own().map(native::udf)).collect()
}

pub(crate) fn too_big() -> QueryError {
    QueryError::limit(
        Exceeded::Memory,
        "an expression of the query makes too long a text or list",
    )
    .with_hint("give it less to work on: shorten the text, or extract the part that matters first")
}

/// What is counted of an argument.
#[derive(Clone, Copy)]
enum Of {
    Bytes,
    Number,
    Items,
}

/// One number for each row, or one for all.
struct Counts(Vec<u64>);

impl Counts {
    fn of(value: &ColumnarValue, of: Of) -> Result<Self> {
        let array = match value {
            ColumnarValue::Array(array) => Arc::clone(array),
            // Not spread over the rows: that is what is to be avoided.
            ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(1)?,
        };
        Ok(Self(counted(&array, of)?))
    }

    fn at(&self, row: usize) -> u64 {
        match self.0.as_slice() {
            [one] => *one,
            all => all.get(row).copied().unwrap_or(0),
        }
    }
}

fn numbers(array: &dyn Array) -> Result<Vec<u64>> {
    // What is no number of ours counts as nothing: the function refuses it.
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let numbers = cast_with_options(array, &DataType::Int64, &options)?;
    Ok(numbers
        .as_primitive::<Int64Type>()
        .iter()
        .map(|n| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
        .collect())
}

fn counted(array: &ArrayRef, of: Of) -> Result<Vec<u64>> {
    let list = matches!(
        array.data_type(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    );
    let text = matches!(
        array.data_type(),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Binary
    );
    match of {
        Of::Number if array.data_type().is_numeric() => numbers(array),
        Of::Number => Ok(vec![0; array.len()]),
        Of::Items if list => numbers(&length(array)?),
        Of::Items => Ok(vec![1; array.len()]),
        Of::Bytes if text => numbers(&length(array)?),
        Of::Bytes => {
            let all = array.to_data().get_slice_memory_size()?;
            Ok(vec![(all / array.len().max(1)) as u64; array.len()])
        }
    }
}

impl Size {
    /// Whether what is reckoned is more than what is made as a rule: as if each
    /// letter were replaced.
    fn is_upper_bound(self) -> bool {
        matches!(
            self,
            Self::Replace | Self::Match | Self::ReplaceItems | Self::Separate
        )
    }

    /// Fails if a call with these arguments makes, or takes, too much.
    fn check(self, args: &ScalarFunctionArgs) -> Result<()> {
        match self.pieces(args)?.as_slice() {
            [] | [_] => Ok(()),
            _ => Err(too_big().into()),
        }
    }

    /// Cuts the rows into pieces of which none makes, or takes, too much; one
    /// after the other, by their lengths. Fails if there is none so short.
    fn pieces(self, args: &ScalarFunctionArgs) -> Result<Vec<usize>> {
        let args_of = |i: usize, of: Of| match args.args.get(i) {
            Some(arg) => Counts::of(arg, of),
            None => Ok(Counts(vec![0])),
        };
        let bytes = (0..args.args.len())
            .map(|i| args_of(i, Of::Bytes))
            .collect::<Result<Vec<_>>>()?;
        let (items, number) = (args_of(0, Of::Items)?, args_of(1, Of::Number)?);
        let b = |i: usize, row: usize| bytes.get(i).map_or(0, |c| c.at(row));
        let of_row = |row: usize| match self {
            Self::Repeat => b(0, row).saturating_mul(number.at(row)),
            Self::Pad => number.at(row).saturating_mul(4),
            Self::Replace => {
                let found = b(0, row) / b(1, row).max(1) + 1;
                b(0, row).saturating_add(found.saturating_mul(b(2, row)))
            }
            Self::Match => (b(0, row) + 1).saturating_mul(b(2, row) + 1),
            Self::Fill => number.at(row).saturating_mul(b(2, row).max(8)),
            Self::ReplaceItems => b(0, row).saturating_add(items.at(row).saturating_mul(b(2, row))),
            Self::Separate => b(0, row).saturating_add(items.at(row).saturating_mul(b(1, row))),
            Self::Sum => (0..bytes.len()).map(|i| b(i, row)).sum(),
            Self::Twice => b(0, row).saturating_mul(2),
            Self::Product => b(0, row).saturating_mul(b(1, row)),
            Self::Small => 0,
        };
        let constant = args
            .args
            .iter()
            .all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let (rows, most) = match (self, constant) {
            (Self::Product, true) => (1, STEPS),
            (Self::Product, false) => (args.number_rows, STEPS),
            (_, true) => (1, CONSTANT),
            (_, false) => (args.number_rows, MADE),
        };
        let (mut pieces, mut start, mut piece) = (vec![], 0, 0u64);
        for row in 0..rows {
            let one = of_row(row);
            if one > most {
                return Err(too_big().into());
            }
            piece = piece.saturating_add(one);
            if piece > most {
                pieces.push(row - start);
                (start, piece) = (row, one);
            }
        }
        pieces.push(rows - start);
        Ok(pieces)
    }
}

/// A function of the engine's that first reckons what it would make.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    size: Size,
    /// Less those that are names of functions of our own: which of two
    /// functions a name means must not hang on the order of a map.
    aliases: Vec<String>,
}

// What is not passed on is `simplify` and the like: they would put the
// engine's own, unbounded function in this one's place.
impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let pieces = self.size.pieces(&args)?;
        match pieces.as_slice() {
            [] | [_] => self.inner.invoke_with_args(args),
            many if self.size.is_upper_bound() => self.by_pieces(&args, many),
            _ => Err(too_big().into()),
        }
    }
}

impl Bounded {
    /// Some rows at a time, until what was really made is too much.
    fn by_pieces(&self, args: &ScalarFunctionArgs, lengths: &[usize]) -> Result<ColumnarValue> {
        let (mut made, mut size, mut start) = (vec![], 0u64, 0);
        for &length in lengths {
            let some = args.args.iter().map(|arg| match arg {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, length)),
                scalar @ ColumnarValue::Scalar(_) => scalar.clone(),
            });
            let piece = self.inner.invoke_with_args(ScalarFunctionArgs {
                args: some.collect(),
                number_rows: length,
                ..args.clone()
            })?;
            let piece = piece.into_array(length)?;
            size += piece.to_data().get_slice_memory_size()? as u64;
            if size > MADE {
                return Err(too_big().into());
            }
            made.push(piece);
            start += length;
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }
}

/// `a || b` for texts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        JOINED
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|a| a.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types.iter().find(|t| t.is_nested()) {
            Some(nested) => plan_err!("|| joins texts, not {nested}"),
            None => Ok(vec![DataType::Utf8; arg_types.len()]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Size::Sum.check(&args)?;
        over_rows(&args, |rows, _| {
            let arrays = arrays(&args, rows)?;
            let texts: Option<Vec<&StringArray>> =
                arrays.iter().map(|a| a.as_string_opt::<i32>()).collect();
            let Some([left, right]) = texts.as_deref() else {
                return internal_err!("|| takes two texts");
            };
            Ok(Arc::new(concat_elements_utf8(left, right)?))
        })
    }
}

/// Makes `||` a function of ours, so that it is bounded as well.
#[derive(Debug)]
pub(crate) struct JoinTexts;

impl ExprPlanner for JoinTexts {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat
            || expr.left.get_type(schema)?.is_nested()
            || expr.right.get_type(schema)?.is_nested()
        {
            return Ok(PlannerResult::Original(expr));
        }
        let joined = Joined {
            signature: Signature::user_defined(Volatility::Immutable),
        };
        Ok(PlannerResult::Planned(Expr::ScalarFunction(
            ScalarFunction::new_udf(
                Arc::new(ScalarUDF::new_from_impl(joined)),
                vec![expr.left, expr.right],
            ),
        )))
    }
}
