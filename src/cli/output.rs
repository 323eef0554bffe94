//! What commands print: text for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, presets};
use console::{Style, Term};

use super::error::Result;
use super::server::Common;
use super::text::{clean, clean_json};

/// The columns of a terminal that does not say how wide it is.
const COLUMNS_DEFAULT: u16 = 80;

/// Standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    form: Form,
    is_terminal: bool,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// The server's JSON.
    Json,
}

impl Output {
    /// Text on a terminal and JSON otherwise, unless the user says which.
    pub fn new(common: &Common) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let form = match (common.json, common.text, is_terminal) {
            (false, true, _) | (false, false, true) => Form::Text,
            (true, ..) | (false, false, false) => Form::Json,
        };
        Self { form, is_terminal }
    }

    /// What is printed.
    pub fn form(self) -> Form {
        self.form
    }

    /// Prints the server's JSON and a newline.
    pub fn json(self, json: &str) -> Result<()> {
        // On a terminal the same JSON in which nothing is left that the terminal would obey.
        let json = if self.is_terminal { clean_json(json) } else { json.to_owned() };
        print(&json)
    }

    /// Prints an array of the server's items.
    pub fn json_list(self, items: &[Box<serde_json::value::RawValue>]) -> Result<()> {
        let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
        self.json(&format!("[{}]", items.join(",")))
    }

    /// Prints a table, or the sentence if there are no rows.
    pub fn table(self, header: &[&str], rows: Vec<Vec<Cell>>, nothing: &str) -> Result<()> {
        if rows.is_empty() {
            eprintln!("{nothing}");
            return Ok(());
        }
        let mut table = self.bare_table();
        let bold = |title: &&str| Cell::new(title).add_attribute(comfy_table::Attribute::Bold);
        table.set_header(header.iter().map(bold));
        for cells in rows {
            let mut row = Row::from(cells);
            row.max_height(1);
            table.add_row(row);
        }
        // Only the last column gives way when the terminal is narrow.
        for column in table.column_iter_mut().take(header.len() - 1) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        print_table(&table)
    }

    /// Prints keys and values under each other.
    pub fn block(self, rows: Vec<(&str, String)>) -> Result<()> {
        let mut table = self.bare_table();
        for (key, value) in rows {
            let key = Cell::new(key).add_attribute(comfy_table::Attribute::Dim);
            table.add_row(vec![key, Cell::new(clean(&value))]);
        }
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        print_table(&table)
    }

    fn bare_table(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_truncation_indicator("…");
        if self.is_terminal {
            let width =
                Term::stdout().size_checked().map_or(COLUMNS_DEFAULT, |(_, columns)| columns);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        if console::colors_enabled() {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }
}

fn print_table(table: &Table) -> Result<()> {
    let unframed = |line: String| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned();
    print(&table.lines().map(unframed).collect::<Vec<_>>().join("\n"))
}

/// Prints text that holds nothing of a stranger, or was cleaned, and ends it with a newline.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    Ok(stdout.flush()?)
}

/// A cell with text of strangers.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(clean(text.as_ref()))
}

/// A cell with a number.
pub fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(comfy_table::CellAlignment::Right)
}

/// A cell with a status, in its color.
pub fn status(word: &str) -> Cell {
    let cell = cell(word);
    match color(word) {
        Some(console::Color::Green) => cell.fg(comfy_table::Color::Green),
        Some(console::Color::Red) => cell.fg(comfy_table::Color::Red),
        Some(console::Color::Yellow) => cell.fg(comfy_table::Color::Yellow),
        Some(_) => cell.fg(comfy_table::Color::Cyan),
        None => cell,
    }
}

/// The style of a status.
pub fn status_style(word: &str) -> Style {
    color(word).map_or_else(Style::new, |color| Style::new().fg(color))
}

fn color(status: &str) -> Option<console::Color> {
    match status {
        "running" | "completed" | "healthy" => Some(console::Color::Green),
        "failed" | "degraded" => Some(console::Color::Red),
        "pending" | "queued" | "cancelled" | "paused" => Some(console::Color::Yellow),
        "starting" | "creating" | "stopping" | "deleting" | "restarting" => {
            Some(console::Color::Cyan)
        }
        _ => None,
    }
}
