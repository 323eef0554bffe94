//! Long texts: said in an argument, or piped in.

use std::io::{Read as _, stdin};

use super::error::{Error, Exit, Result};

/// What stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// The most that is read from standard input; the server takes less and says so.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The text of an argument; `what` names it to whom piped in what cannot be read.
pub fn text(argument: &str, what: &str) -> Result<String> {
    if argument != STANDARD_INPUT {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = stdin().lock().take(TEXT_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Error::new(Exit::Usage, format!("cannot read {what}: {error}")))?;
    Ok(text)
}
