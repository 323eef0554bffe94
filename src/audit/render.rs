//! A report for people, and for programs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::report::{Check, Report};

/// The whole report as JSON.
pub(super) fn json(report: &Report) -> String {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("is_clean".into(), report.is_clean().into());
    }
    format!("{value:#}\n")
}

/// The invariants that do not hold, each with its first event, and a summary; `with_table` adds
/// every check.
pub(super) fn text(report: &Report, with_table: bool) -> String {
    let mut text = String::new();
    if with_table {
        text.push_str(&table(&report.checks));
        text.push('\n');
    }
    for check in report.violated() {
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "violated {}: {} ({} of {} checks)",
            check.invariant, check.title, check.violations, check.checked
        );
        if let Some(first) = &check.first {
            let _ = writeln!(
                text,
                "  first at position {}, {}, {}: {}",
                first.position,
                printable(&first.stream),
                printable(&first.event_type),
                printable(&first.message)
            );
        }
    }
    let checked: u64 = report.checks.iter().map(|check| check.checked).sum();
    let _ = writeln!(
        text,
        "{}: {} events up to position {} of log {} ({}), {} executions still open, {} checks",
        if report.is_clean() { "clean" } else { "violated" },
        report.events,
        report.position,
        report.log_id,
        report.log,
        report.open_executions,
        checked
    );
    text
}

/// The text without anything that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let is_control = c.is_control();
            let escaped = is_control.then(|| c.escape_default()).into_iter().flatten();
            escaped.chain((!is_control).then_some(c))
        })
        .collect()
}

fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["INVARIANT", "CHECKS", "VIOLATED", "SAYS"]);
    for check in checks {
        table.add_row([
            check.invariant.to_owned(),
            check.checked.to_string(),
            check.violations.to_string(),
            check.title.to_owned(),
        ]);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_log_commands_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mé\n"), "a\\u{1b}[31mé\\n");
    }
}
