//! What commands print: text for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table, presets};
use console::{Style, Term, measure_text_width};
use serde::Serialize;

use super::error::{Error, Exit, Result};
use super::server::Common;
use super::text::{clean, clean_json};

/// The columns of a terminal that does not say how wide it is.
const COLUMNS_DEFAULT: u16 = 80;

/// The spaces around the text of a cell.
const CELL_PADDING: usize = 2;

/// The least that the last column of a table is cut to, in columns of the terminal.
const LAST_COLUMN_MIN: usize = 16;

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

/// What is printed of a report that is no server's.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ReportForm {
    /// Print the report as JSON; the default unless the output is a terminal
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// Print for people, whatever the output is
    #[arg(long)]
    text: bool,
}

impl ReportForm {
    /// Standard output in this form.
    pub fn output(self) -> Output {
        Output::of(self.json, self.text)
    }
}

impl Output {
    /// Standard output in the form that a command of the client is told.
    pub fn new(common: &Common) -> Self {
        Self::of(common.json, common.text)
    }

    /// Text on a terminal and JSON otherwise, unless the user says which.
    fn of(json: bool, text: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let form = match (json, text, is_terminal) {
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

    /// Prints a report as JSON.
    pub fn report(self, report: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(report);
        self.json(&json.map_err(|error| Error::new(Exit::Failed, error.to_string()))?)
    }

    /// Prints an array of the server's items.
    pub fn json_list(self, items: &[Box<serde_json::value::RawValue>]) -> Result<()> {
        let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
        self.json(&format!("[{}]", items.join(",")))
    }

    /// Prints a table, or the sentence if there are no rows.
    ///
    /// On a narrow terminal the last column is cut, and before that the columns named in `spare`
    /// are left out, the first of them first.
    pub fn table(
        self,
        header: &[&str],
        spare: &[&str],
        rows: Vec<Vec<Cell>>,
        nothing: &str,
    ) -> Result<()> {
        if rows.is_empty() {
            eprintln!("{nothing}");
            return Ok(());
        }
        let kept = self.kept(header, spare, &rows);
        let keep = |cells: Vec<Cell>| {
            let kept_cells = cells.into_iter().zip(&kept).filter(|(_, is_kept)| **is_kept);
            kept_cells.map(|(cell, _)| cell).collect::<Vec<_>>()
        };
        let mut table = self.bare_table();
        let bold = |title: &&str| Cell::new(title).add_attribute(comfy_table::Attribute::Bold);
        let one_line = |cells| {
            let mut row = Row::from(keep(cells));
            row.max_height(1);
            row
        };
        table.set_header(one_line(header.iter().map(bold).collect()));
        table.add_rows(rows.into_iter().map(one_line));
        let fixed = table.column_count() - 1;
        for column in table.column_iter_mut().take(fixed) {
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

    /// Which columns fit the terminal.
    fn kept(self, header: &[&str], spare: &[&str], rows: &[Vec<Cell>]) -> Vec<bool> {
        let mut kept = vec![true; header.len()];
        let Some(available) = self.width() else { return kept };
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| measure_text_width(&cell.content())).max();
                widest.unwrap_or_default().max(measure_text_width(header[column])) + CELL_PADDING
            })
            .collect();
        let (last, fixed) = widths.split_last().unwrap_or((&0, &[]));
        let mut needed = fixed.iter().sum::<usize>() + (*last).min(LAST_COLUMN_MIN);
        for name in spare {
            if needed <= usize::from(available) {
                break;
            }
            if let Some(column) = header.iter().position(|title| title == name) {
                kept[column] = false;
                needed -= widths[column];
            }
        }
        kept
    }

    /// The columns of the terminal, if there is one.
    fn width(self) -> Option<u16> {
        let width = || Term::stdout().size_checked().map_or(COLUMNS_DEFAULT, |(_, width)| width);
        self.is_terminal.then(width)
    }

    fn bare_table(self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_truncation_indicator("…");
        if let Some(width) = self.width() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        if console::colors_enabled() {
            table.enforce_styling().style_text_only();
        } else {
            table.force_no_tty();
        }
        table
    }
}

fn print_table(table: &Table) -> Result<()> {
    let unframed = |line: String| {
        let line = line.trim_end();
        line.strip_prefix(' ').unwrap_or(line).to_owned()
    };
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
