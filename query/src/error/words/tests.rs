use super::*;
use crate::error::ErrorKind;

fn column_of(error: &QueryError) -> Option<u64> {
    match error.kind {
        ErrorKind::Invalid { column, .. } => column,
        _ => None,
    }
}

#[test]
fn arguments_are_counted_in_one_way_whatever_the_engine_says() {
    for (text, expected) in [
        (
            "Execution error: Function 'f' user-defined coercion failed with: Execution error: min/max was called with 2 arguments. It requires only 1.",
            "f takes 1 argument, and 2 are given",
        ),
        (
            "Function 'f' expects 2 arguments but received 1",
            "f takes 2 arguments, and 1 is given",
        ),
        (
            "The function f expects 3 arguments, but 0 were provided",
            "f takes 3 arguments, and none are given",
        ),
        (
            "Execution error: f function requires 2 arguments, got 1",
            "f takes 2 arguments, and 1 is given",
        ),
        (
            "The function f does not accept 4 function arguments.",
            "f cannot be called with 4 arguments",
        ),
        (
            "f does not take 0 arguments. No function matches the given name and argument types 'f()'. You might need to add explicit type casts.",
            "f cannot be called with no arguments",
        ),
        (
            "'f' does not support zero arguments",
            "f cannot be called with no arguments",
        ),
        (
            "Execution error: Function 'f' user-defined coercion failed with: Error during planning: f requires at least 2 arguments, got 1",
            "f requires at least 2 arguments, got 1",
        ),
        (
            "Function 'f' expects String but received Int64",
            "Function 'f' expects String but received Int64",
        ),
    ] {
        let error = of_plan(text, &Written::of("SELECT f, F(x)"));
        assert_eq!(error.message, expected, "{text}");
        assert_eq!(column_of(&error), Some(11), "{text}");
    }
}

#[test]
fn only_what_the_statement_says_is_offered_in_place_of_an_alias() {
    let valid = |table: &str| Column::new(Some(table), "user_name");
    let all = ["h", "hidden", "k"].map(valid);
    let missing = SchemaError::FieldNotFound {
        field: Box::new(valid("x")),
        valid_fields: all.to_vec(),
    };
    let written = Written::of("SELECT x.user_name FROM history h, history k");
    let error = of_schema(&missing, &written, None);
    assert_eq!(error.message, "there is no column \"x.user_name\"");
    assert_eq!(
        error.hint.as_deref(),
        Some("no table or alias is called \"x\" here: there are \"h\", \"k\"")
    );
    assert_eq!(column_of(&error), Some(8));
}

#[test]
fn a_text_is_named_only_if_the_statement_has_it() {
    let failed = |value: &str| {
        let text = format!("Cannot cast string '{value}' to value of Int64 type");
        DataFusionError::ArrowError(Box::new(ArrowError::CastError(text)), None)
    };
    let written = Written::of("SELECT CAST('alice' AS INT), \"hunter2\"");
    let error = of_literal(&failed("alice"), &written).unwrap();
    assert_eq!(error.message, "'alice' cannot be converted to a number");
    assert!(error.hint.as_ref().unwrap().contains("TRY_CAST"));
    assert_eq!(column_of(&error), Some(13));
    assert_eq!(of_literal(&failed("hunter2"), &written), None);
    assert_eq!(of_literal(&failed("alice"), &Written::default()), None);
    let told = QueryError::planned(&failed("hunter2"), &written);
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
}

#[test]
fn a_far_name_of_a_function_is_not_offered() {
    let text = "Invalid function 'nothing_like_it'.\nDid you mean 'length'?";
    let error = of_plan(text, &Written::default());
    assert_eq!(error.message, "there is no function \"nothing_like_it\"");
    assert!(!error.hint.unwrap().contains("length"));
}
