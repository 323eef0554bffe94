//! A run without a script: some seconds of work that looks like the real thing.
//!
//! The same prompt gives the same run, another prompt another one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Value, json};

use super::script::Op;

/// Most characters of a prompt that are quoted.
const QUOTE_CHARS_MAX: usize = 72;

/// A tool call that fits any task.
struct Scene {
    before: &'static str,
    tool: &'static str,
    input: fn() -> Value,
    result: &'static str,
}

const OPENINGS: &[&str] = &[
    "I will look around first and then decide what to change.",
    "Let me find the places that this touches.",
    "First I want to know how it works today.",
];

const LOOKING: &[Scene] = &[
    Scene {
        before: "These files look like the right place to begin.",
        tool: "Glob",
        input: || json!({"pattern": "src/**/*"}),
        result: "src/lib.rs\nsrc/report.rs\nsrc/report/table.rs\nsrc/report/chart.rs",
    },
    Scene {
        before: "I search for where the value is made.",
        tool: "Grep",
        input: || json!({"pattern": "fn total", "path": "src", "output_mode": "content"}),
        result: "src/report.rs:41:pub fn total(rows: &[Row]) -> Amount {",
    },
    Scene {
        before: "The history may say why it was done this way.",
        tool: "Bash",
        input: || json!({"command": "git log --oneline -5", "description": "Show the last commits"}),
        result: "8c1f02e Round totals once, at the end\n41d9b7a Add the chart\n0b6e3fd First report",
    },
    Scene {
        before: "I read it in full.",
        tool: "Read",
        input: || json!({"file_path": "src/report.rs", "offset": 38, "limit": 8}),
        result: "38\t/// Adds up the rows.\n39\t///\n40\t/// Rounds once, at the end.\n\
                 41\tpub fn total(rows: &[Row]) -> Amount {\n42\t    rows.iter().map(Row::amount)\
                 .sum()\n43\t}",
    },
];

const DOING: &[Scene] = &[
    Scene {
        before: "A small change is enough.",
        tool: "Edit",
        input: || {
            json!({
                "file_path": "src/report.rs",
                "old_string": "rows.iter().map(Row::amount).sum()",
                "new_string": "rows.iter().filter(|row| row.counts()).map(Row::amount).sum()",
            })
        },
        result: "The file src/report.rs has been updated.",
    },
    Scene {
        before: "I write down what I found, so that it can be checked.",
        tool: "Write",
        input: || json!({"file_path": "notes/findings.md", "content": "# Findings\n\n1. Totals…"}),
        result: "File created: notes/findings.md",
    },
];

const CHECKING: &[Scene] = &[
    Scene {
        before: "Now the tests.",
        tool: "Bash",
        input: || json!({"command": "make test", "description": "Run the tests"}),
        result: "running 48 tests\n................................................\n\
                 test result: ok. 48 passed; 0 failed",
    },
    Scene {
        before: "I check the result once more.",
        tool: "Bash",
        input: || json!({"command": "git diff --stat", "description": "Show what changed"}),
        result: " src/report.rs | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)",
    },
];

/// Makes up the run for a prompt; `earlier` is what was asked in the session before.
pub fn of(prompt: &str, earlier: &[&str]) -> Vec<Op> {
    let mut dice = Dice::new(prompt);
    let mut ops = vec![Op::Sleep(dice.pause())];
    if let Some(last) = earlier.last() {
        ops.push(Op::Say(format!("This goes on from what you asked before: “{}”.", quote(last))));
    }
    ops.push(Op::Say(format!("“{}” — {}", quote(prompt), dice.pick(OPENINGS))));
    let first = dice.roll(LOOKING.len());
    let second = (first + 1 + dice.roll(LOOKING.len() - 1)) % LOOKING.len();
    let scenes = [&LOOKING[first], &LOOKING[second], dice.pick(DOING), dice.pick(CHECKING)];
    for scene in scenes {
        ops.push(Op::Sleep(dice.pause()));
        ops.push(Op::Say(scene.before.to_owned()));
        ops.push(Op::Tool {
            name: scene.tool.to_owned(),
            input: (scene.input)(),
            result: scene.result.to_owned(),
            pause: dice.pause(),
        });
    }
    ops.push(Op::Sleep(dice.pause()));
    ops.push(Op::Say(format!(
        "Done: {} steps for “{}”. This was a demonstration: no file was touched and no command \
         was run.",
        scenes.len(),
        quote(prompt)
    )));
    ops
}

/// The first line with words, shortened.
fn quote(prompt: &str) -> String {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut quote: String = line.chars().take(QUOTE_CHARS_MAX).collect();
    if quote.len() < line.len() {
        quote.push('…');
    }
    quote
}

/// Chance that is decided by the prompt.
struct Dice {
    hasher: DefaultHasher,
}

impl Dice {
    fn new(prompt: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        prompt.hash(&mut hasher);
        Self { hasher }
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.hasher.write_u8(0);
        usize::try_from(self.hasher.finish() >> 33).unwrap_or(0) % sides.max(1)
    }

    fn pick<T>(&mut self, from: &'static [T]) -> &'static T {
        &from[self.roll(from.len())]
    }

    /// A pause of a fifth to half a second.
    fn pause(&mut self) -> Duration {
        Duration::from_millis(200 + 20 * u64::try_from(self.roll(16)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_prompt_gives_the_same_run() {
        assert_eq!(of("count the rows", &[]), of("count the rows", &[]));
        let runs: Vec<_> = (0..20).map(|n| of(&format!("task {n}"), &[])).collect();
        let tools = |ops: &[Op]| -> Vec<String> {
            let name = |op: &Op| match op {
                Op::Tool { name, .. } => Some(name.clone()),
                _ => None,
            };
            ops.iter().filter_map(name).collect()
        };
        assert!(runs.iter().any(|run| tools(run) != tools(&runs[0])));
        assert!(runs.iter().all(|run| tools(run).len() == 4));
    }

    #[test]
    fn a_run_takes_some_seconds() {
        for prompt in ["", "a", "#\n\nlong ".repeat(500).as_str()] {
            let waits = of(prompt, &[]).into_iter().map(|op| match op {
                Op::Sleep(duration) | Op::Tool { pause: duration, .. } => duration,
                _ => Duration::ZERO,
            });
            let total: Duration = waits.sum();
            assert!(
                total >= Duration::from_secs(2) && total <= Duration::from_secs(5),
                "{total:?}"
            );
        }
    }

    #[test]
    fn an_earlier_prompt_is_remembered() {
        let ops = of("and now?", &["first", "the second thing"]);
        let said = |op: &Op| matches!(op, Op::Say(text) if text.contains("the second thing"));
        assert!(ops.iter().any(said));
    }
}
