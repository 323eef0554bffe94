//! Cursors as a client sends them: any text is taken or refused, and one that is taken is the one
//! that the list gives for that place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trinity::projections::Filter;

#[derive(Debug)]
struct List;

impl Filter for List {
    const LIST: &'static str = "fuzz";
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(page) = List.page(None, Some(text))
        && let Some(place) = page.after
    {
        assert_eq!(List.cursor_at(place), text);
    }
});
