//! What a CLI prints, line by line: any bytes are parsed without a panic, and the run has an end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trinity::adapters::{Adapters, Launcher};
use trinity::domain::agent::Runtime;
use trinity_agent_protocol::{Exit, LineStream};

fuzz_target!(|data: &[u8]| {
    let Some((code, output)) = data.split_first() else { return };
    let command = || Launcher::new(vec!["cli".to_owned()]);
    let adapters = Adapters::new(command(), command(), command());
    let runtime = if *code < 128 { Runtime::ClaudeCode } else { Runtime::GeminiCli };
    let mut parser = adapters.get(runtime).parser();
    for (seq, line) in (1..).zip(output.split(|byte| *byte == b'\n')) {
        let stream =
            if line.first() == Some(&b'!') { LineStream::Stderr } else { LineStream::Stdout };
        let _events = parser.parse(seq, stream, line);
    }
    let _conclusion = parser.finish(&exit(*code));
});

fn exit(code: u8) -> Exit {
    let json = serde_json::json!({
        "code": code % 3, "ended_at": "2026-01-02T03:04:05Z", "duration_ms": 1, "last_seq": 0,
        "stderr_tail": "",
    });
    serde_json::from_value(json).expect("an exit as the agent server writes it")
}
