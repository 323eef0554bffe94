//! What the tests with a real CLI share: its settings, and what the mock of its API has seen.

use std::io::{Read, Write};
use std::net::TcpStream;

use trinity::adapters::tools::ToolSet;

use crate::event_log::support::environment;

pub fn setting(name: &str) -> String {
    environment(name).unwrap_or_else(|| panic!("{name} is not set; run: make test-clis"))
}

/// The text of the requests with `mark` that the mock at `url` has seen.
pub fn requests_with(url: &str, mark: &str) -> Vec<String> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /__log HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    body.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
}

/// The model that a CLI asks its API for: the full name, or what the CLI has in its place.
pub fn substitute(substitutes: &[(&str, &str)], full: &str) -> String {
    let found = substitutes.iter().find(|(replaced, _)| *replaced == full);
    found.map_or(full, |(_, instead)| *instead).to_owned()
}

pub fn only(tools: &[&str]) -> ToolSet {
    ToolSet::Only(tools.iter().map(|tool| (*tool).to_owned()).collect())
}
