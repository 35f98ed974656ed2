//! Functions of our own: what each is called, takes, gives and says, in one
//! table that makes the function and its line in the reference.
//!
//! They hold to three rules. A value that a function cannot read gives null,
//! never an error, so that one odd event cannot fail a question over years; a
//! constant that cannot be read is the author's slip, and is one. What a call
//! makes is no longer than a small multiple of what it was given, so that
//! counting it afterwards ([`crate::meter`]) is in time. And none takes longer
//! than one pass over its arguments.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{ScalarValue, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What an argument is turned into before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Long,
    /// Any number.
    Double,
    /// A moment, in UTC.
    Time,
    /// A moment, or a text that the function reads as one.
    TimeOrText,
    /// A list.
    List,
    /// Whatever it is.
    Any,
}

/// The headings of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// JSON texts.
    Json,
    /// Lists and maps.
    Nested,
    /// Lists, with a lambda.
    Lambda,
    /// Moments.
    Time,
    /// Texts.
    Text,
    /// Aggregates and conditions.
    Other,
}

/// From arguments to an expression.
pub(crate) type Simpler = fn(&[Expr]) -> Option<Expr>;

/// One function.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) group: Group,
    /// As it is called.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) says: &'static str,
    /// How many arguments it takes at least.
    pub(crate) least: usize,
    /// What they are, and so how many at most.
    pub(crate) takes: &'static [Kind],
    pub(crate) gives: fn(&[DataType]) -> Result<DataType>,
    pub(crate) makes: fn(&Call<'_>) -> Result<ArrayRef>,
    /// A cheaper expression that says the same.
    pub(crate) simpler: Option<Simpler>,
    /// Which values of its argument give this value: so that a comparison of
    /// its result can choose files.
    pub(crate) before: Option<fn(&[Expr], &ScalarValue) -> PreimageResult>,
}

impl Function {
    /// One that takes all its arguments, and has no other name.
    pub(crate) const fn new(
        group: Group,
        name: &'static str,
        usage: &'static str,
        says: &'static str,
        takes: &'static [Kind],
        gives: fn(&[DataType]) -> Result<DataType>,
        makes: fn(&Call<'_>) -> Result<ArrayRef>,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            group,
            usage,
            says,
            least: takes.len(),
            takes,
            gives,
            makes,
            simpler: None,
            before: None,
        }
    }
}

/// The type of moments.
pub(crate) fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

pub(crate) fn gives_text(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Utf8)
}

pub(crate) fn gives_texts(_: &[DataType]) -> Result<DataType> {
    Ok(texts_type())
}

pub(crate) fn gives_long(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Int64)
}

pub(crate) fn gives_double(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Float64)
}

pub(crate) fn gives_moment(_: &[DataType]) -> Result<DataType> {
    Ok(moment())
}

pub(crate) fn gives_bool(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::Boolean)
}

/// A list of text.
pub(crate) fn texts_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

impl Kind {
    fn of(self, given: &DataType, usage: &str) -> Result<DataType> {
        let list = |given: &DataType| match given {
            DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item) => DataType::List(Arc::clone(item)),
            other => other.clone(),
        };
        Ok(match self {
            Self::Any => list(given),
            Self::List => match list(given) {
                given @ (DataType::List(_) | DataType::Null) => given,
                other => return plan_err!("{usage} takes a list, not {other}"),
            },
            _ if given.is_nested() => return plan_err!("{usage} does not take {given}"),
            Self::Text => DataType::Utf8View,
            Self::Long => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Time => moment(),
            Self::TimeOrText => match given {
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => moment(),
                _ => DataType::Utf8View,
            },
        })
    }
}

/// One call over the rows of a batch.
pub(crate) struct Call<'a> {
    args: &'a ScalarFunctionArgs,
    pub(crate) rows: usize,
    /// Whether all arguments are constants.
    pub(crate) constant: bool,
}

/// An argument: a value for each row, or one for all.
pub(crate) struct Values<A> {
    array: A,
    one: bool,
}

impl<A> Values<A> {
    fn place(&self, row: usize) -> usize {
        if self.one { 0 } else { row }
    }
}

impl Values<StringViewArray> {
    pub(crate) fn at(&self, row: usize) -> Option<&str> {
        let row = self.place(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }

    /// Whether all rows have the same.
    pub(crate) fn one(&self) -> bool {
        self.one
    }
}

impl Values<Int64Array> {
    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        let row = self.place(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

impl Values<Float64Array> {
    pub(crate) fn at(&self, row: usize) -> Option<f64> {
        let row = self.place(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

impl Values<TimestampMicrosecondArray> {
    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        let row = self.place(row);
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

impl Call<'_> {
    /// How many arguments there are.
    pub(crate) fn len(&self) -> usize {
        self.args.args.len()
    }

    pub(crate) fn given(&self) -> &ScalarFunctionArgs {
        self.args
    }

    fn raw(&self, i: usize) -> Result<(ArrayRef, bool)> {
        match self.args.args.get(i) {
            Some(ColumnarValue::Array(array)) => Ok((Arc::clone(array), false)),
            // Not spread over the rows: it is the same for all.
            Some(ColumnarValue::Scalar(scalar)) => Ok((scalar.to_array_of_size(1)?, true)),
            None => internal_err!("an argument is missing"),
        }
    }

    /// The argument with a value for each row.
    pub(crate) fn array(&self, i: usize) -> Result<ArrayRef> {
        match self.args.args.get(i) {
            Some(value) => value.to_array(self.rows),
            None => internal_err!("an argument is missing"),
        }
    }

    pub(crate) fn texts(&self, i: usize) -> Result<Values<StringViewArray>> {
        let (array, one) = self.raw(i)?;
        // A simplified call has the types that its arguments had.
        let array = cast(&array, &DataType::Utf8View)?;
        match array.as_string_view_opt() {
            Some(array) => Ok(Values {
                array: array.clone(),
                one,
            }),
            None => internal_err!("an argument is not text"),
        }
    }

    pub(crate) fn longs(&self, i: usize) -> Result<Values<Int64Array>> {
        let (array, one) = self.raw(i)?;
        match array.as_primitive_opt::<Int64Type>() {
            Some(array) => Ok(Values {
                array: array.clone(),
                one,
            }),
            None => internal_err!("an argument is not a whole number"),
        }
    }

    pub(crate) fn doubles(&self, i: usize) -> Result<Values<Float64Array>> {
        let (array, one) = self.raw(i)?;
        match array.as_primitive_opt::<Float64Type>() {
            Some(array) => Ok(Values {
                array: array.clone(),
                one,
            }),
            None => internal_err!("an argument is not a number"),
        }
    }

    /// Moments in microseconds, if that is what the argument is.
    pub(crate) fn times(&self, i: usize) -> Result<Option<Values<TimestampMicrosecondArray>>> {
        let (array, one) = self.raw(i)?;
        let times = array.as_primitive_opt::<TimestampMicrosecondType>();
        Ok(times.map(|array| Values {
            array: array.clone(),
            one,
        }))
    }
}

/// Makes the result of a call: of one row where all arguments are constants,
/// which is told as well, and the result is one then.
pub(crate) fn over_rows(
    args: &ScalarFunctionArgs,
    make: impl FnOnce(usize, bool) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = args
        .args
        .iter()
        .all(|a| matches!(a, ColumnarValue::Scalar(_)));
    let made = make(if constant { 1 } else { args.number_rows }, constant)?;
    Ok(match constant {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?),
        false => ColumnarValue::Array(made),
    })
}

/// The arguments of a call, with a value for each of so many rows.
pub(crate) fn arrays(args: &ScalarFunctionArgs, rows: usize) -> Result<Vec<ArrayRef>> {
    args.args.iter().map(|a| a.to_array(rows)).collect()
}

/// A [`Function`] as the engine calls it.
struct Native {
    function: &'static Function,
    aliases: Vec<String>,
    signature: Signature,
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.function.name)
    }
}

impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Native {}

impl Hash for Native {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

/// The function as the engine calls it.
pub(crate) fn udf(function: &'static Function) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Native {
        aliases: function.aliases.iter().map(|a| (*a).to_owned()).collect(),
        function,
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

impl ScalarUDFImpl for Native {
    fn name(&self) -> &str {
        self.function.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Function {
            usage,
            takes,
            least,
            ..
        } = self.function;
        if given.len() < *least || given.len() > takes.len() {
            return plan_err!("call it as {usage}: {} arguments do not fit", given.len());
        }
        given
            .iter()
            .zip(takes.iter())
            .map(|(given, kind)| kind.of(given, usage))
            .collect()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        (self.function.gives)(given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_rows(&args, |rows, constant| {
            (self.function.makes)(&Call {
                args: &args,
                rows,
                constant,
            })
        })
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let simpler = self.function.simpler.and_then(|simpler| simpler(&args));
        Ok(match simpler {
            Some(simpler) => ExprSimplifyResult::Simplified(simpler),
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn preimage(
        &self,
        args: &[Expr],
        lit_expr: &Expr,
        _info: &SimplifyContext,
    ) -> Result<PreimageResult> {
        Ok(match (self.function.before, lit_expr.as_literal()) {
            (Some(before), Some(value)) => before(args, value),
            _ => PreimageResult::None,
        })
    }
}
