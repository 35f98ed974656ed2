//! How a function of PostgreSQL's catalogue is called: its arguments come as
//! text, whatever they are, one row at a time; its answer is a [`Cell`].

use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::tables::Cell;
use crate::catalog::Names;
use crate::functions::{CONSTANT, MADE, arrays, over_rows, too_big};

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Text,
    Bool,
    /// A number of four bytes, or an object's.
    Int,
    Long,
    Texts,
}

impl Gives {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Texts => DataType::new_list(DataType::Utf8, true),
        }
    }

    fn array(self, cells: &[Cell]) -> ArrayRef {
        let long = |c: &Cell| match c {
            Cell::Int(n) => Some(*n),
            _ => None,
        };
        match self {
            Self::Text => Arc::new(StringArray::from_iter(cells.iter().map(|c| match c {
                Cell::Text(text) => Some(text.as_str()),
                _ => None,
            }))),
            Self::Bool => Arc::new(BooleanArray::from_iter(cells.iter().map(|c| match c {
                Cell::Bool(b) => Some(*b),
                _ => None,
            }))),
            Self::Int => Arc::new(Int32Array::from_iter(
                cells
                    .iter()
                    .map(|c| long(c).and_then(|n| n.try_into().ok())),
            )),
            Self::Long => Arc::new(Int64Array::from_iter(cells.iter().map(long))),
            Self::Texts => {
                let mut lists = ListBuilder::new(StringBuilder::new());
                for cell in cells {
                    match cell {
                        Cell::Texts(texts) => lists.append_value(texts.iter().map(Some)),
                        _ => lists.append_null(),
                    }
                }
                Arc::new(lists.finish())
            }
        }
    }
}

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) args: RangeInclusive<usize>,
    pub(super) gives: Gives,
    pub(super) eval: fn(&Names, &[Option<&str>]) -> Result<Cell>,
}

/// A function and the names that it tells of.
#[derive(Debug)]
pub(super) struct Call {
    function: &'static Function,
    names: Arc<Names>,
    signature: Signature,
}

impl Call {
    pub(super) fn udf(function: &'static Function, names: &Arc<Names>) -> Arc<ScalarUDF> {
        // What is set is set when the statement runs, not while it is planned.
        let volatility = match function.name {
            "set_config" => Volatility::Volatile,
            _ => Volatility::Stable,
        };
        Arc::new(ScalarUDF::new_from_impl(Self {
            function,
            names: Arc::clone(names),
            signature: Signature::user_defined(volatility),
        }))
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.names, &other.names)
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.function.gives.data_type())
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.function.name;
        if !self.function.args.contains(&arg_types.len()) {
            return plan_err!("{name} does not take {} arguments", arg_types.len());
        }
        match arg_types.iter().find(|t| t.is_nested()) {
            Some(nested) => plan_err!("{name} does not take {nested}"),
            None => Ok(vec![DataType::Utf8; arg_types.len()]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_rows(&args, |rows, constant| self.rows(&args, rows, constant))
    }
}

impl Call {
    fn rows(&self, args: &ScalarFunctionArgs, rows: usize, constant: bool) -> Result<ArrayRef> {
        let arrays = arrays(args, rows)?;
        let texts: Option<Vec<&StringArray>> =
            arrays.iter().map(|a| a.as_string_opt::<i32>()).collect();
        let Some(texts) = texts else {
            return internal_err!("{} takes texts", self.function.name);
        };
        // Quotes within quotes double with each call around them.
        let most = if constant { CONSTANT } else { MADE };
        let mut size = 0;
        let mut cells = Vec::with_capacity(rows);
        let mut row = Vec::with_capacity(texts.len());
        for i in 0..rows {
            row.clear();
            row.extend(texts.iter().map(|t| t.is_valid(i).then(|| t.value(i))));
            let cell = (self.function.eval)(&self.names, &row)?;
            size += match &cell {
                Cell::Text(text) => text.len() as u64,
                Cell::Texts(texts) => texts.iter().map(|t| t.len() as u64 + 16).sum(),
                _ => 0,
            };
            if size > most {
                return Err(too_big().into());
            }
            cells.push(cell);
        }
        Ok(self.function.gives.array(&cells))
    }
}

/// `array_lower`, `array_upper` and a series of numbers no longer than a
/// catalogue's lists are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Lists {
    name: &'static str,
    signature: Signature,
}

/// How many numbers a series may have.
const SERIES: i64 = 10_000;

impl Lists {
    pub(super) const NAMES: &[&str] = &["array_lower", "array_upper", super::SERIES];

    pub(super) fn udf(name: &'static str) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    }

    fn is_series(&self) -> bool {
        self.name == super::SERIES
    }

    fn series(&self, bounds: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let mut lists = ListBuilder::new(arrow::array::Int64Builder::new());
        let at = |i: usize, row: usize| {
            let numbers = bounds.get(i)?.as_primitive_opt::<Int64Type>()?;
            numbers.is_valid(row).then(|| numbers.value(row))
        };
        let mut made = 0;
        for row in 0..rows {
            match (at(0, row), at(1, row)) {
                (Some(from), Some(to)) => {
                    made += to.saturating_sub(from).saturating_add(1).max(0);
                    if made > SERIES {
                        return exec_err!("a series of more than {SERIES} numbers");
                    }
                    lists.append_value((from..=to).map(Some));
                }
                _ => lists.append_null(),
            }
        }
        Ok(Arc::new(lists.finish()))
    }

    fn bound(&self, list: &ArrayRef, rows: usize) -> Result<ArrayRef> {
        let lengths = arrow::compute::kernels::length::length(list)?;
        let lengths = arrow::compute::cast(&lengths, &DataType::Int64)?;
        let lengths = lengths.as_primitive::<Int64Type>();
        Ok(Arc::new(Int64Array::from_iter((0..rows).map(|i| {
            let length = (lengths.is_valid(i) && lengths.value(i) > 0).then(|| lengths.value(i))?;
            Some(if self.name == "array_lower" {
                1
            } else {
                length
            })
        }))))
    }
}

impl ScalarUDFImpl for Lists {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(match self.is_series() {
            true => DataType::new_list(DataType::Int64, true),
            false => DataType::Int64,
        })
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [_, _] if self.is_series() => Ok(vec![DataType::Int64; 2]),
            [list @ (DataType::List(_) | DataType::LargeList(_)), _] if !self.is_series() => {
                Ok(vec![list.clone(), DataType::Int64])
            }
            _ => plan_err!("{} takes a list and a dimension, or two numbers", self.name),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_rows(&args, |rows, _| {
            let arrays = arrays(&args, rows)?;
            match (self.is_series(), arrays.first()) {
                (true, _) => self.series(&arrays, rows),
                (false, Some(list)) => self.bound(list, rows),
                (false, None) => internal_err!("{} takes a list", self.name),
            }
        })
    }
}
