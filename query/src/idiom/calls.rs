//! Calls and casts of Trino and Presto, in the engine's words.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    LambdaFunction, LambdaFunctionParameter, LambdaSyntax, ObjectName, ObjectNamePart,
    OneOrManyWithParens, OrderByExpr, OrderByOptions, Value, VisitorMut,
};

use super::tokens::LAMBDA;
use crate::error::QueryError;

pub(super) fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// A call of a function of the engine's or of ours.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args
        .into_iter()
        .map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a)))
        .collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

pub(super) fn is(call: &Function, name: &str) -> bool {
    match call.name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] => ident.value.eq_ignore_ascii_case(name),
        _ => false,
    }
}

/// The arguments, if they are plain.
pub(super) fn arguments(call: &mut Function) -> Option<Vec<&mut Expr>> {
    let FunctionArguments::List(list) = &mut call.args else {
        return None;
    };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    list.args
        .iter_mut()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect()
}

fn taken(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, null())
}

fn rename(call: &mut Function, name: &str) {
    call.name = ObjectName::from(vec![Ident::new(name)]);
}

/// What a call of a function means that the engine has under another name, or
/// says in another way.
pub(super) fn function(call: &mut Function) -> Result<Option<Expr>, QueryError> {
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else {
        return Ok(None);
    };
    let name = name.value.to_ascii_lowercase();
    let Some(mut args) = arguments(call) else {
        return Ok(None);
    };
    match (name.as_str(), args.as_mut_slice()) {
        (LAMBDA, [parameters @ .., body]) if !parameters.is_empty() => {
            let named = |parameter: &&mut Expr| match &**parameter {
                Expr::Identifier(name) => Some(LambdaFunctionParameter {
                    name: name.clone(),
                    data_type: None,
                }),
                _ => None,
            };
            let names: Option<Vec<_>> = parameters.iter().map(named).collect();
            let Some(names) = names else {
                return Err(QueryError::invalid("a lambda is written x -> expression"));
            };
            return Ok(Some(Expr::Lambda(LambdaFunction {
                params: OneOrManyWithParens::Many(names),
                body: Box::new(taken(body)),
                syntax: LambdaSyntax::Arrow,
            })));
        }
        ("if", [condition, result, rest @ ..]) if rest.len() <= 1 => {
            let when = CaseWhen {
                condition: taken(condition),
                result: taken(result),
            };
            let other = rest.first_mut().map(|e| Box::new(taken(e)));
            return Ok(Some(Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![when],
                else_result: other,
            }));
        }
        ("date", [of]) => {
            return Ok(Some(Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(taken(of)),
                data_type: DataType::Date,
                array: false,
                format: None,
            }));
        }
        _ => {}
    }
    aggregate(&name, call);
    Ok(None)
}

/// Aggregates that the engine has in other words.
fn aggregate(name: &str, call: &mut Function) {
    let Some(mut args) = arguments(call) else {
        return;
    };
    match (name, args.as_mut_slice()) {
        ("arbitrary", [_]) => rename(call, "any_value"),
        ("count_if", [condition]) => {
            let condition = taken(condition);
            and_filter(call, condition);
            rename(call, "count");
            set_arguments(call, FunctionArgExpr::Wildcard, vec![]);
        }
        ("approx_distinct", [of, _]) => {
            let of = taken(of);
            set_arguments(call, FunctionArgExpr::Expr(of), vec![]);
        }
        ("approx_percentile", [of, share]) => {
            let (of, share) = (taken(of), taken(share));
            call.within_group = vec![ordered(of, true)];
            rename(call, "approx_percentile_cont");
            set_arguments(call, FunctionArgExpr::Expr(share), vec![]);
        }
        ("max_by" | "min_by", [of, by]) => {
            let (of, by) = (taken(of), taken(by));
            and_filter(call, Expr::IsNotNull(Box::new(by.clone())));
            rename(call, "first_value");
            let order = FunctionArgumentClause::OrderBy(vec![ordered(by, name == "min_by")]);
            set_arguments(call, FunctionArgExpr::Expr(of), vec![order]);
        }
        _ => {}
    }
}

fn ordered(expr: Expr, asc: bool) -> OrderByExpr {
    OrderByExpr {
        expr,
        options: OrderByOptions {
            asc: Some(asc),
            nulls_first: Some(false),
        },
        with_fill: None,
    }
}

fn set_arguments(call: &mut Function, arg: FunctionArgExpr, clauses: Vec<FunctionArgumentClause>) {
    call.args = FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args: vec![FunctionArg::Unnamed(arg)],
        clauses,
    });
}

fn and_filter(call: &mut Function, condition: Expr) {
    let both = match call.filter.take() {
        Some(filter) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(filter)),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(condition))),
        },
        None => condition,
    };
    call.filter = Some(Box::new(both));
}

/// `CAST(… AS array(varchar))`, `map(varchar, varchar)` and `json`.
pub(super) fn cast(
    kind: &CastKind,
    expr: &mut Expr,
    data_type: &DataType,
) -> Result<Option<Expr>, QueryError> {
    let name = match data_type {
        DataType::JSON => {
            return Ok(Some(Expr::Cast {
                kind: kind.clone(),
                expr: Box::new(taken(expr)),
                data_type: DataType::Varchar(None),
                array: false,
                format: None,
            }));
        }
        DataType::Custom(name, _) => match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => ident.value.as_str(),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let inside = |of: &str| Some(name.strip_prefix(of)?.strip_suffix(')')?.to_owned());
    if let Some(item) = inside("array(") {
        let list = call("json_list", vec![taken(expr)]);
        return items(list, &item).map(Some);
    }
    match inside("map(") {
        Some(types) if types.starts_with("varchar,") => {
            Ok(Some(call("json_map", vec![taken(expr)])))
        }
        Some(_) => Err(QueryError::invalid(
            "a map has texts for keys: write map(varchar, varchar)",
        )),
        None => Ok(None),
    }
}

/// A list of texts as a list of `item`.
fn items(list: Expr, item: &str) -> Result<Expr, QueryError> {
    let data_type = match item {
        "bigint" | "integer" | "int" => DataType::BigInt(None),
        "double" => DataType::Double(ExactNumberInfo::None),
        "boolean" => DataType::Boolean,
        // Nested items stay JSON, for which there are functions.
        _ if item.starts_with("varchar")
            || item == "json"
            || item.starts_with("map(")
            || item.starts_with("array(") =>
        {
            return Ok(list);
        }
        _ => {
            return Err(QueryError::invalid("a list of that type is not supported")
                .with_hint("write array(varchar), array(json), array(bigint) or array(double)"));
        }
    };
    let body = Expr::Cast {
        kind: CastKind::TryCast,
        expr: Box::new(Expr::Identifier(Ident::with_quote('"', LAMBDA))),
        data_type,
        array: false,
        format: None,
    };
    let each = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter {
            name: Ident::with_quote('"', LAMBDA),
            data_type: None,
        }),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    });
    Ok(call("transform", vec![list, each]))
}

/// What can fail in the argument of `try` gives null instead.
pub(super) struct Try;

impl VisitorMut for Try {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { kind, .. } if *kind != CastKind::SafeCast => *kind = CastKind::TryCast,
            Expr::BinaryOp {
                op: BinaryOperator::Divide | BinaryOperator::Modulo,
                right,
                ..
            } => {
                let zero = Expr::Value(Value::Number("0".to_owned(), false).into());
                **right = call("nullif", vec![taken(right), zero]);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
