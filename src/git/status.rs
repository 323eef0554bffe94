//! What `git status --porcelain=v2` says.

/// How many changed files a status names.
pub const CHANGES_MAX: usize = 1_000;

/// How a workspace differs from its repository, as far as the last look at that knew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The branch; none when no branch is checked out.
    pub branch: Option<String>,
    /// The last commit; none before the first.
    pub commit: Option<String>,
    /// How many commits the repository does not have.
    pub ahead: u64,
    /// How many commits the workspace does not have.
    pub behind: u64,
    /// Files that differ from the last commit, the first of them.
    pub changes: Vec<Change>,
    /// Whether there are more of them.
    pub has_more: bool,
}

/// A file that differs from the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file; a folder, with a slash at its end, when all of it is new.
    pub path: String,
    /// Git's two letters: what is staged, and what is not; `??` for what is new.
    pub code: String,
}

/// Reads it, as far as it came.
pub(super) fn read(output: &str) -> Status {
    let mut status = Status::default();
    // Every field has an end; one without was cut off.
    let (whole, rest) = output.rsplit_once('\0').unwrap_or(("", output));
    status.has_more = !rest.trim().is_empty();
    let mut fields = whole.split('\0');
    while let Some(field) = fields.next() {
        let (kind, rest) = field.split_once(' ').unwrap_or((field, ""));
        // The path follows so many words.
        let words = match kind {
            "#" => {
                header(&mut status, rest);
                continue;
            }
            "?" => 0,
            "1" => 7,
            "2" => {
                // What it was called before is a field of its own.
                fields.next();
                8
            }
            "u" => 9,
            _ => continue,
        };
        let code = if words == 0 { "??" } else { rest.get(..2).unwrap_or_default() };
        let Some(path) = rest.splitn(words + 1, ' ').nth(words) else { continue };
        if status.changes.len() == CHANGES_MAX {
            status.has_more = true;
            break;
        }
        status.changes.push(Change { path: path.to_owned(), code: code.to_owned() });
    }
    status
}

fn header(status: &mut Status, text: &str) {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    let known = |value: &str| (!value.starts_with('(')).then(|| value.to_owned());
    match name {
        "branch.oid" => status.commit = known(value),
        "branch.head" => status.branch = known(value),
        "branch.ab" => {
            let count = |count: &str| count.trim_start_matches(['+', '-']).parse();
            let mut counts = value.split(' ').map(|text| count(text).unwrap_or_default());
            status.ahead = counts.next().unwrap_or_default();
            status.behind = counts.next().unwrap_or_default();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_every_kind_of_change() {
        let output = "# branch.oid 0123abc\0# branch.head main\0# branch.upstream origin/main\0\
             # branch.ab +2 -1\0\
             1 .M N... 100644 100644 100644 1111 2222 a file.txt\0\
             2 R. N... 100644 100644 100644 1111 1111 R100 new.txt\0old.txt\0\
             u UU N... 100644 100644 100644 100644 1 2 3 both.txt\0? fresh dir/\0";
        let found = read(output);
        let head = (found.branch.as_deref(), found.commit.as_deref());
        assert_eq!(head, (Some("main"), Some("0123abc")));
        assert_eq!((found.ahead, found.behind, found.has_more), (2, 1, false));
        let changes: Vec<_> =
            found.changes.iter().map(|c| (c.code.as_str(), c.path.as_str())).collect();
        let expected =
            [(".M", "a file.txt"), ("R.", "new.txt"), ("UU", "both.txt"), ("??", "fresh dir/")];
        assert_eq!(changes, expected);
        assert_eq!(read("# branch.oid (initial)\0# branch.head (detached)\0"), Status::default());
    }

    #[test]
    fn what_was_cut_off_is_not_shown_but_said() {
        let found = read("? whole\0? cut of");
        assert_eq!(found.changes.len(), 1);
        assert!(found.has_more);
        let many = "? file\0".repeat(CHANGES_MAX + 1);
        let found = read(&many);
        assert_eq!((found.changes.len(), found.has_more), (CHANGES_MAX, true));
        for nonsense in ["", "1", "\0\0", "1 \0", "u ä\0", "# branch.ab x\0", "? \0"] {
            read(nonsense);
        }
    }
}
