//! Cursors as a client sends them: any text is taken or refused, and one that the list gave is taken.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trinity::projections::{Filter, Place};

#[derive(Debug)]
struct List;

impl Filter for List {
    const LIST: &'static str = "fuzz";
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        let _taken_or_refused = List.page(None, Some(text));
    }
    if let Some((created_at, rest)) = data.split_first_chunk()
        && let Some((row_no, _)) = rest.split_first_chunk()
    {
        let (created_at, row_no) = (i64::from_be_bytes(*created_at), i64::from_be_bytes(*row_no));
        let cursor = List.cursor_at(Place { created_at, row_no });
        List.page(None, Some(&cursor)).expect("a cursor that the list gave");
    }
});
