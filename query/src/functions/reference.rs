//! The reference of the functions, made of the tables that make the functions.

use datafusion::execution::SessionStateDefaults;

use super::native::Group;
use super::{lambda, own};

/// What is said of a function in other words than a table's.
type Said = (&'static str, &'static str);

/// What is rewritten before the engine plans it.
const REWRITTEN: &[Said] = &[
    (
        "`if(condition, a[, b])`",
        "`a` where the condition is true, else `b` or null.",
    ),
    (
        "`try(expression)`",
        "The expression, with null where a cast or a division in it fails.",
    ),
    ("`try_cast(x AS type)`", "The value in that type, or null."),
    (
        "`arbitrary(x)`, `any_value(x)`",
        "Any value that is not null.",
    ),
    (
        "`count_if(condition)`",
        "In how many rows the condition is true.",
    ),
    (
        "`approx_distinct(x)`",
        "About how many different values there are.",
    ),
    (
        "`approx_percentile(x, share)`",
        "About the value below which that share lies.",
    ),
    (
        "`max_by(x, y)`, `min_by(x, y)`",
        "The x of the row with the largest, or least, y.",
    ),
    (
        "`CAST(json AS array(varchar))`, `… AS map(varchar, varchar)`",
        "A JSON text as a list or a map of texts; items may also be `json`, `bigint`, `double` and `boolean`.",
    ),
    ("`date(x)`", "The day of a moment or a text."),
    (
        "`UNNEST(list or map)`",
        "In FROM, with CROSS JOIN, a comma, or LEFT JOIN … ON TRUE, also of columns of the tables before it: `FROM cloudtrail CROSS JOIN UNNEST(resources) AS r(accountId, type, arn)`. `WITH ORDINALITY` gives the places as a last column.",
    ),
];

/// The names of the engine's own functions that are offered.
fn engines() -> Vec<String> {
    let mut names: Vec<String> = super::scalar()
        .iter()
        .map(|f| f.name().to_owned())
        .filter(|name| own().all(|own| own.name != name))
        .collect();
    let aggregates = SessionStateDefaults::default_aggregate_functions();
    names.extend(aggregates.iter().map(|f| f.name().to_owned()));
    let windows = SessionStateDefaults::default_window_functions();
    names.extend(windows.iter().map(|f| f.name().to_owned()));
    names.sort();
    names.dedup();
    names
}

/// The reference page of functions and views, in Markdown.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Functions, and the views `cloudtrail` and `actiontrail`\n\n\
         Made from the tables of functions in `query/src/functions`; a test keeps this page equal to them.\n\n\
         Cairn's SQL is PostgreSQL's, with the functions below in the meaning that CloudTrail Lake (Trino) and \
         ActionTrail's log service give them. A value that a function cannot read gives null; a constant that it \
         cannot read is an error. `list[n]` counts from 1 and `map['key']` looks a key up; both give null where \
         there is nothing.\n",
    );
    let groups = [
        (Group::Json, "JSON"),
        (Group::Nested, "Lists and maps"),
        (Group::Lambda, "Lists with a lambda"),
        (Group::Time, "Moments, all in UTC"),
        (Group::Text, "Texts"),
        (Group::Other, "Aggregates, conditions, types"),
    ];
    for (group, heading) in groups {
        page.push_str(&format!(
            "\n## {heading}\n\n| call | what it gives |\n|---|---|\n"
        ));
        for function in own().filter(|f| f.group == group) {
            line(&mut page, function.usage, function.says, function.aliases);
        }
        if group == Group::Lambda {
            for (_, _, aliases, usage, says) in lambda::ALL {
                line(&mut page, usage, says, aliases);
            }
            line(&mut page, lambda::REDUCE_USAGE, lambda::REDUCE_SAYS, &[]);
            page.push_str("\nLambdas may ask of columns outside of them, and stand in one another three deep.\n");
        }
        if group == Group::Other {
            for (usage, says) in REWRITTEN {
                page.push_str(&format!("| {usage} | {says} |\n"));
            }
        }
    }
    page.push_str(
        "\n## Operators of JSON\n\n`json -> 'key'` and `json ->> 'key'` are a member as JSON and as text, with a number \
         an item from 0; `json ? 'key'` is whether there is such a member.\n\n## A search before a bar\n\n\
         `\"event.eventRW\": Write and not \"event.userIdentity.userName\": deploy* | SELECT count(1) AS n`, as in the log \
         service: what stands before the bar chooses the events of the view `log` that the SELECT is asked of, and `FROM log` may be \
         left out. A search is `*`, `key: value` or a bare word, which is looked for in the whole event, with `and` (which may be left \
         out), `or`, `not` and parentheses; a value is found as `search_has` finds it. Comparisons (`key > 5`, `key in [1 5]`) belong into \
         WHERE, and there is no limit of 100 rows. It chooses no files: give times in WHERE.\n\n## The engine's own\n\n\
         Also offered, as DataFusion documents them:\n\n",
    );
    let names: Vec<String> = engines().iter().map(|n| format!("`{n}`")).collect();
    page.push_str(&names.join(", "));
    page.push_str(
        ".\n\nNot offered: what tells of files or of the engine (`version`, `input_file_name`), what makes lists of any \
         length from two numbers (`range`, `generate_series`, `sequence`), and table functions.\n\n## Views\n\n\
         The same events as `history`, for the same accounts, under other names. They may be mixed with other tables.\n",
    );
    page.push_str(&crate::views::page());
    page
}

fn line(page: &mut String, usage: &str, says: &str, aliases: &[&str]) {
    let also = match aliases {
        [] => String::new(),
        some => {
            let names: Vec<String> = some.iter().map(|a| format!("`{a}`")).collect();
            format!(" Also {}.", names.join(", "))
        }
    };
    let says = says.replace('|', "\\|");
    page.push_str(&format!("| `{usage}` | {says}{also} |\n"));
}

#[cfg(test)]
mod tests;
