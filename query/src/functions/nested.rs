//! Lists and maps: items by place from 1, values by key.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, ListBuilder, MapArray,
    StringBuilder, StructArray, UInt32Array, UInt32Builder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Fields, UInt64Type};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::string::contains as text_contains;
use datafusion::functions_nested::array_has::array_has_udf;
use datafusion::functions_nested::position::array_position_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::json;
use super::native::{Call, Function, Group, Kind, gives_bool, gives_long, gives_texts, udf};

/// What is taken of each row's items: places in all rows' items together.
fn place(n: usize) -> u32 {
    // Offsets of lists and maps are of 31 bits.
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn gives_element(given: &[DataType]) -> Result<DataType> {
    match given.first() {
        Some(DataType::List(item)) => Ok(item.data_type().clone()),
        Some(DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Ok(fields[1].data_type().clone()),
            other => internal_err!("a map of {other}"),
        },
        Some(DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8) => Ok(DataType::Utf8),
        Some(DataType::Null) => Ok(DataType::Null),
        other => plan_err!("element_at takes a list, a map or a JSON text, not {other:?}"),
    }
}

fn element_at(call: &Call<'_>) -> Result<ArrayRef> {
    let from = call.array(0)?;
    match from.data_type() {
        DataType::List(_) => of_list(from.as_list(), &cast(&call.array(1)?, &DataType::Int64)?),
        DataType::Map(..) => of_map(from.as_map(), &cast(&call.array(1)?, &DataType::Utf8View)?),
        DataType::Null => Ok(from),
        _ => of_json(&from, &call.array(1)?),
    }
}

fn of_list(lists: &ListArray, places: &ArrayRef) -> Result<ArrayRef> {
    let places: &Int64Array = places.as_primitive();
    let offsets = lists.value_offsets();
    let mut taken = UInt32Builder::new();
    for row in 0..lists.len() {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let asked = (lists.is_valid(row) && places.is_valid(row)).then(|| places.value(row));
        let at = asked.and_then(|n| match usize::try_from(n.unsigned_abs()) {
            Ok(n @ 1..) if n <= end - start => Some(n),
            _ => None,
        });
        taken.append_option(at.map(|n| match asked {
            // From the end.
            Some(..0) => place(end - n),
            _ => place(start + n - 1),
        }));
    }
    Ok(take(lists.values(), &taken.finish(), None)?)
}

fn of_map(maps: &MapArray, keys: &ArrayRef) -> Result<ArrayRef> {
    let known = cast(maps.keys(), &DataType::Utf8View)?;
    let (known, keys) = (known.as_string_view(), keys.as_string_view());
    let offsets = maps.value_offsets();
    let mut taken = UInt32Builder::new();
    for row in 0..maps.len() {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        let at = match maps.is_valid(row) && keys.is_valid(row) {
            true => (start..end).find(|i| known.value(*i) == keys.value(row)),
            false => None,
        };
        taken.append_option(at.map(place));
    }
    Ok(take(maps.values(), &taken.finish(), None)?)
}

fn of_json(texts: &ArrayRef, keys: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8View)?;
    let keys = cast(keys, &DataType::Utf8View)?;
    let (texts, keys) = (texts.as_string_view(), keys.as_string_view());
    let mut made = StringBuilder::new();
    for row in 0..texts.len() {
        let found = (texts.is_valid(row) && keys.is_valid(row))
            .then(|| json::Step::Key(keys.value(row).to_owned()))
            .and_then(|step| json::part(texts.value(row), &[step]));
        made.append_option(found.as_deref().and_then(json::as_text));
    }
    Ok(Arc::new(made.finish()))
}

/// One key of a map that is made of JSON is looked up in the JSON: the map is
/// never made.
fn element_of_json(args: &[Expr]) -> Option<Expr> {
    let [Expr::ScalarFunction(made), key] = args else {
        return None;
    };
    let [json] = made.args.as_slice() else {
        return None;
    };
    if made.func.name() != "json_map" {
        return None;
    }
    let entry = json::ALL.iter().find(|f| f.name == "json_entry")?;
    let args = vec![json.clone(), key.clone()];
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(
        udf(entry),
        args,
    )))
}

fn cardinality(call: &Call<'_>) -> Result<ArrayRef> {
    let of = call.array(0)?;
    let lengths = |offsets: &[i32]| -> ArrayRef {
        let mut made = Int64Builder::new();
        for row in 0..of.len() {
            let n = i64::from(offsets[row + 1]) - i64::from(offsets[row]);
            made.append_option(of.is_valid(row).then_some(n));
        }
        Arc::new(made.finish())
    };
    match of.data_type() {
        DataType::List(_) => Ok(lengths(of.as_list::<i32>().value_offsets())),
        DataType::Map(..) => Ok(lengths(of.as_map().value_offsets())),
        DataType::Null => Ok(arrow::array::new_null_array(&DataType::Int64, of.len())),
        other => plan_err!("cardinality takes a list or a map, not {other}"),
    }
}

/// The arguments with what is looked for in the type of the list's items.
fn alike(call: &Call<'_>) -> Result<datafusion::logical_expr::ScalarFunctionArgs> {
    let mut args = call.given().clone();
    if let Some(DataType::List(item)) = args.args.first().map(|a| a.data_type())
        && let Some(wanted) = args.args.get_mut(1)
    {
        *wanted = wanted.cast_to(item.data_type(), None)?;
        args.arg_fields[1] = Arc::new(Field::new("", item.data_type().clone(), true));
    }
    Ok(args)
}

fn contains(call: &Call<'_>) -> Result<ArrayRef> {
    let args = alike(call)?;
    let list = matches!(
        args.args.first().map(|a| a.data_type()),
        Some(DataType::List(_) | DataType::Null)
    );
    let asked = if list {
        array_has_udf()
    } else {
        text_contains()
    };
    let found = asked.invoke_with_args(args)?.into_array(call.rows)?;
    Ok(cast(&found, &DataType::Boolean)?)
}

fn array_position(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.array(0)?;
    let mut args = alike(call)?;
    args.return_field = Arc::new(Field::new("", DataType::UInt64, true));
    let found = array_position_udf()
        .invoke_with_args(args)?
        .into_array(call.rows)?;
    let Some(found) = found.as_primitive_opt::<UInt64Type>() else {
        return internal_err!("array_position gives no number");
    };
    let places = (0..call.rows).map(|row| match found.is_valid(row) {
        true => i64::try_from(found.value(row)).ok(),
        false => lists.is_valid(row).then_some(0),
    });
    Ok(Arc::new(places.collect::<Int64Array>()))
}

fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, separators) = (call.texts(0)?, call.texts(1)?);
    let most = match call.len() {
        3 => Some(call.longs(2)?),
        _ => None,
    };
    let mut made = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let limit = most.as_ref().map(|m| m.at(row));
        let limit = match limit {
            Some(limit) => limit.and_then(|n| usize::try_from(n).ok()),
            None => Some(usize::MAX),
        };
        let (Some(text), Some(separator), Some(limit @ 1..)) =
            (texts.at(row), separators.at(row), limit)
        else {
            made.append(false);
            continue;
        };
        match separator {
            "" => made.values().append_value(text),
            separator => text
                .splitn(limit, separator)
                .for_each(|piece| made.values().append_value(piece)),
        }
        made.append(true);
    }
    Ok(Arc::new(made.finish()))
}

fn gives_same(given: &[DataType]) -> Result<DataType> {
    Ok(given.first().cloned().unwrap_or(DataType::Null))
}

fn slice(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.array(0)?;
    let (starts, lengths) = (call.longs(1)?, call.longs(2)?);
    let DataType::List(item) = lists.data_type() else {
        return Ok(lists);
    };
    let (item, lists) = (Arc::clone(item), lists.as_list::<i32>());
    let mut taken: Vec<u32> = vec![];
    let (mut sizes, mut nulls) = (vec![], vec![]);
    for row in 0..lists.len() {
        let range = match (lists.is_valid(row), starts.at(row), lengths.at(row)) {
            (true, Some(start), Some(length)) => {
                let offsets = lists.value_offsets();
                Some(between(offsets[row], offsets[row + 1], start, length))
            }
            _ => None,
        };
        nulls.push(range.is_some());
        let range = range.unwrap_or(0..0);
        sizes.push(range.len());
        taken.extend(range.map(place));
    }
    let values = take(lists.values(), &UInt32Array::from(taken), None)?;
    let offsets = OffsetBuffer::from_lengths(sizes);
    Ok(Arc::new(ListArray::try_new(
        item,
        offsets,
        values,
        Some(nulls.into()),
    )?))
}

/// Which of the items from `first` to `end` a slice takes.
fn between(first: i32, end: i32, start: i64, length: i64) -> std::ops::Range<usize> {
    let (first, end) = (i64::from(first), i64::from(end));
    let from = match start {
        1.. => first.saturating_add(start - 1),
        0 => end,
        _ => end.saturating_add(start),
    };
    if from < first || from >= end || length <= 0 {
        return 0..0;
    }
    let to = from.saturating_add(length).min(end);
    // Both lie between the list's offsets.
    from as usize..to as usize
}

fn gives_places(_: &[DataType]) -> Result<DataType> {
    Ok(DataType::new_list(DataType::Int64, true))
}

fn make_places(call: &Call<'_>) -> Result<ArrayRef> {
    let lists: Vec<ArrayRef> = (0..call.len())
        .map(|i| call.array(i))
        .collect::<Result<_>>()?;
    let length = |list: &ArrayRef, row: usize| {
        let list = list.as_list_opt::<i32>().filter(|l| l.is_valid(row))?;
        Some(i64::from(list.value_length(row)))
    };
    let mut made = ListBuilder::new(Int64Builder::new());
    for row in 0..call.rows {
        match lists.iter().filter_map(|list| length(list, row)).max() {
            Some(most) => made.append_value((1..=most).map(Some)),
            None => made.append_null(),
        }
    }
    Ok(Arc::new(made.finish()))
}

/// From 1 to the length of the longest of some lists: what UNNEST … WITH
/// ORDINALITY unnests beside them. No statement can say its name.
pub(crate) fn places() -> Arc<ScalarUDF> {
    static PLACES: Function = Function {
        least: 1,
        ..of_nested(
            "places of",
            "UNNEST(list, …) WITH ORDINALITY",
            "",
            &[Kind::List; 16],
            gives_places,
            make_places,
        )
    };
    udf(&PLACES)
}

/// The fields of one resource in CloudTrail Lake.
pub(crate) fn lake_resource() -> DataType {
    let fields = Fields::from(vec![
        Field::new("accountId", DataType::Utf8, true),
        Field::new("type", DataType::Utf8, true),
        Field::new("arn", DataType::Utf8, true),
    ]);
    DataType::List(Arc::new(Field::new_list_field(
        DataType::Struct(fields),
        true,
    )))
}

fn gives_lake_resources(_: &[DataType]) -> Result<DataType> {
    Ok(lake_resource())
}

fn lake_resources(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = call.array(0)?;
    let DataType::List(item) = lake_resource() else {
        return internal_err!("resources are a list");
    };
    let Some(lists) = lists.as_list_opt::<i32>() else {
        return Ok(arrow::array::new_null_array(
            &DataType::List(item),
            lists.len(),
        ));
    };
    let DataType::Struct(fields) = item.data_type().clone() else {
        return internal_err!("a resource is a struct");
    };
    let of: &StructArray = lists.values().as_struct();
    let columns = ["account_id", "type", "name"]
        .into_iter()
        .map(|name| match of.column_by_name(name) {
            Some(column) => Ok(cast(column, &DataType::Utf8)?),
            None => internal_err!("a resource has no {name}"),
        })
        .collect::<Result<Vec<_>>>()?;
    let values = StructArray::try_new(fields, columns, of.nulls().cloned())?;
    Ok(Arc::new(ListArray::try_new(
        item,
        lists.offsets().clone(),
        Arc::new(values),
        lists.nulls().cloned(),
    )?))
}

const fn of_nested(
    name: &'static str,
    usage: &'static str,
    says: &'static str,
    takes: &'static [Kind],
    gives: fn(&[DataType]) -> Result<DataType>,
    makes: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Function {
    Function::new(Group::Nested, name, usage, says, takes, gives, makes)
}

/// The functions of this group.
pub(super) static ALL: &[Function] = &[
    Function {
        simpler: Some(element_of_json),
        ..of_nested(
            "element_at",
            "element_at(list, n) or element_at(map, key)",
            "The n-th item of a list, from 1, or from the end where n is negative; the value of a key of a map or of a JSON object. Null where there is none.",
            &[Kind::Any, Kind::Any],
            gives_element,
            element_at,
        )
    },
    of_nested(
        "cardinality",
        "cardinality(list or map)",
        "How many items a list, or keys a map, has.",
        &[Kind::Any],
        gives_long,
        cardinality,
    ),
    of_nested(
        "contains",
        "contains(list, item) or contains(text, part)",
        "Whether a list holds the item, or a text the part.",
        &[Kind::Any, Kind::Any],
        gives_bool,
        contains,
    ),
    Function {
        aliases: &["list_position", "array_indexof", "list_indexof"],
        ..of_nested(
            "array_position",
            "array_position(list, item)",
            "The place of an item in a list, from 1; 0 where it is not there.",
            &[Kind::List, Kind::Any],
            gives_long,
            array_position,
        )
    },
    Function {
        least: 2,
        ..of_nested(
            "split",
            "split(text, separator[, limit])",
            "The pieces of a text, as a list: `split(a, '/')[2]` is the second.",
            &[Kind::Text, Kind::Text, Kind::Long],
            gives_texts,
            split,
        )
    },
    of_nested(
        "slice",
        "slice(list, start, length)",
        "So many items of a list from a place on, which counts from 1, or from the end where it is negative.",
        &[Kind::List, Kind::Long, Kind::Long],
        gives_same,
        slice,
    ),
    of_nested(
        "lake_resources",
        "lake_resources(resources)",
        "The column `resources` with the field names of CloudTrail Lake.",
        &[Kind::List],
        gives_lake_resources,
        lake_resources,
    ),
];
