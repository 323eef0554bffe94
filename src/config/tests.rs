use super::*;

fn in_dir(dir: &Path) -> Settings {
    Settings { data_dir: Some(dir.to_owned()), ..Settings::default() }
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(CONFIG_FILE), "grace_ms = 7\nlisten = '127.0.0.1:9'\n").unwrap();
    let flags = Settings { grace_ms: Some(8), ..in_dir(dir.path()) };
    let config = Config::load(flags).unwrap();
    assert_eq!(config.grace_ms, 8);
    assert_eq!(config.listen.port(), 9);
    assert_eq!(config.queue_length_max, QUEUE_LENGTH_MAX);
}

#[test]
fn transcripts_are_kept_for_ever_unless_days_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let with = |days| Settings { transcript_retention_days: days, ..in_dir(dir.path()) };
    assert_eq!(Config::load(with(None)).unwrap().transcript_retention_days, None);
    assert_eq!(Config::load(with(Some(30))).unwrap().transcript_retention_days, Some(30));
    assert!(Config::load(with(Some(0))).is_err());
}

#[test]
fn agents_may_name_the_images_that_were_allowed_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(in_dir(dir.path())).unwrap();
    assert!(config.allows_image("trinity-agent-base:1"));
    assert!(!config.allows_image("trinity-agent-base") && !config.allows_image("alpine:3"));
    let allowed = ["alpine:3", "house/*"].map(str::to_owned).to_vec();
    let config = Config { allowed_images: allowed, ..config };
    assert!(config.allows_image("alpine:3") && config.allows_image("house/x:1"));
    assert!(!config.allows_image("alpine:31") && !config.allows_image("trinity-agent-base:1"));
    assert!(config.allows_image("trinity-agent-base:latest"), "the one that all others have");
}

#[test]
fn a_misspelt_setting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(CONFIG_FILE), "grace_mss = 7\n").unwrap();
    let error = format!("{:#}", Config::load(in_dir(dir.path())).unwrap_err());
    assert!(error.contains("grace_mss"), "{error}");
}

#[test]
fn a_line_that_is_not_understood_is_counted_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let text = "grace_ms = 7\nclaude_command = 'env KEY=hunter2 claude\n";
    std::fs::write(dir.path().join(CONFIG_FILE), text).unwrap();
    let error = Config::load(in_dir(dir.path())).unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("config.toml, line 2: ") && !said.contains("hunter2"), "{said}");
}

#[test]
fn secrets_are_not_printed() {
    let dir = tempfile::tempdir().unwrap();
    let url: Secret = "postgres://u:hunter2@h/d".parse().unwrap();
    let command: Secret = "env KEY=hunter2 claude".parse().unwrap();
    let settings = Settings {
        database_url: Some(url),
        claude_command: Some(command.clone()),
        gemini_command: Some(command),
        ..in_dir(dir.path())
    };
    assert!(!format!("{:?}", Config::load(settings).unwrap()).contains("hunter2"));
}
