use std::io::Write as _;

use super::*;
use crate::domain::check::Threshold;
use crate::domain::key::PipelineKey;

fn with_file(text: &str) -> (tempfile::NamedTempFile, Flags) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let database = DatabaseFlags { config: Some(file.path().to_owned()), ..DatabaseFlags::default() };
    (file, Flags { database, ..Flags::default() })
}

fn load(text: &str) -> Result<Config, ConfigError> {
    let (_file, flags) = with_file(text);
    Config::load(flags, None)
}

#[test]
fn flags_override_port_and_file() {
    let (_file, flags) = with_file("listen = \"127.0.0.1:1\"\ninterval = \"1s\"");
    let set = Flags { listen: Some("127.0.0.1:3".into()), interval: Some("2s".into()), ..flags.clone() };
    for (flags, port, listen, interval) in [
        (Flags::default(), None, "127.0.0.1:8000", 5),
        (flags.clone(), None, "127.0.0.1:1", 1),
        (flags, Some("2"), "0.0.0.0:2", 1),
        (set, Some("2"), "127.0.0.1:3", 2),
    ] {
        let config = Config::load(flags, port).expect("good settings");
        assert_eq!((config.listen.to_string().as_str(), config.interval.as_secs()), (listen, interval));
    }
}

#[test]
fn pipeline_overrides_defaults() {
    let config = load(
        r#"
        window = "12h"
        [thresholds.geocoding]
        warning = 90
        [thresholds]
        deduplication = { warning = 99 }
        default = { warning = 75, error = 50 }
        [pipelines.news]
        window = "1h"
        thresholds.validation = { error = 10 }
        [pipelines.slow]
        staleness = "7d"
        thresholds.default = { warning = 40, error = 30 }
        "#,
    )
    .expect("good settings");
    let rules = |key: &str| config.rules.of(&key.parse::<PipelineKey>().expect("a key"));
    let hours = |key: &str| (rules(key).window.num_hours(), rules(key).staleness.num_hours());
    assert_eq!((hours("default"), hours("news"), hours("slow")), ((12, 12), (1, 1), (12, 168)));
    let rates = |threshold: Threshold| (threshold.warning(), threshold.error());
    for (pipeline, check, expect) in [
        ("news", "geocoding", (90.0, 60.0)),
        ("news", "validation", (85.0, 10.0)),
        ("default", "validation", (85.0, 70.0)),
        ("default", "deduplication", (99.0, 50.0)),
        ("slow", "deduplication", (99.0, 50.0)),
        ("default", "language", (75.0, 50.0)),
        ("slow", "language", (40.0, 30.0)),
    ] {
        let check = check.parse().expect("a name");
        assert_eq!(rates(rules(pipeline).thresholds.of(&check)), expect, "{check} of {pipeline}");
    }
}

#[test]
fn demo_has_a_window_of_a_minute_and_no_startup_grace() {
    let config = Config::load(Flags { demo: true, ..Flags::default() }, None).expect("good settings");
    let rules = |key: &str| config.rules.of(&key.parse::<PipelineKey>().expect("a key"));
    let times = |key: &str| (rules(key).window, rules(key).startup_grace);
    for key in ["demo", "demo-scripted"] {
        assert_eq!(times(key), (TimeDelta::seconds(60), TimeDelta::zero()), "{key}");
    }
    assert_eq!(times("default"), (TimeDelta::hours(24), TimeDelta::minutes(5)));
}

#[test]
fn demo_evaluates_every_five_seconds_unless_set() {
    for (demo, set, expected) in [(false, None, 30), (true, None, 5), (true, Some("20s"), 20)] {
        let flags = Flags { demo, evaluation_interval: set.map(str::to_owned), ..Flags::default() };
        let config = Config::load(flags, None).expect("good settings");
        assert_eq!(config.evaluation_interval.as_secs(), expected);
    }
}

#[test]
fn invalid_setting_is_named() {
    for (text, key) in [
        ("listen = \"8000\"", "listen"),
        ("database_url = \"mysql://x\"", "database_url"),
        ("interval = \"10ms\"", "interval"),
        ("interval = \"soon\"", "interval"),
        ("window = \"0s\"", "window"),
        ("window = \"1000000y\"", "window"),
        ("retention = \"23h\"", "retention"),
        ("retention_hourly = \"1h\"", "retention_hourly"),
        ("[pipelines.news]\nwindow = \"91d\"", "retention"),
        ("shutdown_timeout = \"x\"", "shutdown_timeout"),
        ("thresholds.geocoding = { warning = 50 }", "thresholds.geocoding"),
        ("cors_origins = [\"example.org\"]", "cors_origins"),
        ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
        ("public_url = \"example.org\"", "public_url"),
        ("public_url = \"https://example.org/pipewatch\"", "public_url"),
        ("allowed_hosts = [\"*.example.org\"]", "allowed_hosts"),
        ("allowed_hosts = [\"https://example.org\"]", "allowed_hosts"),
        ("tokens = [\"\"]", "tokens"),
        ("tokens = [\"a b\"]", "tokens"),
        ("tokens = [\"a-token-that-is-long\", \"another,that-has-a-comma\"]", "tokens"),
        ("tokens = [\"fifteen-letters\"]", "tokens"),
        ("[pipelines.News]", "pipelines.News"),
        ("[pipelines.news]\nwindow = \"x\"", "pipelines.news.window"),
    ] {
        assert_eq!(load(text).map(drop).expect_err(text).key, key, "{text}");
    }
    for text in ["windw = \"1h\"", "[pipelines.news]\nwindw = \"1h\"", "[thresholds.geocoding]\nwarn = 1", "window = 5"]
    {
        let error = load(text).map(drop).expect_err(text).to_string();
        assert!(error.contains("warn") || error.contains("wind"), "{error}");
    }
    let missing = DatabaseFlags { config: Some("/nowhere/pipewatch.toml".into()), ..DatabaseFlags::default() };
    let error = Config::load(Flags { database: missing, ..Flags::default() }, None).map(drop);
    assert_eq!(error.expect_err("no such file").key, "/nowhere/pipewatch.toml");
}

#[test]
fn default_file_has_the_defaults() {
    let text = include_str!("../../pipewatch.default.toml");
    let (default, said) = (Config::load(Flags::default(), None), load(text));
    let (default, said) = (default.expect("good settings"), said.expect("good settings"));
    assert_eq!(format!("{default:?}"), format!("{said:?}"));
    // The commented example is valid too.
    let example = text.split_once("# [pipelines.news]").expect("the example").1.replace("\n# ", "\n");
    assert!(load(&format!("[pipelines.news]{example}")).is_ok());
}

#[test]
fn password_is_not_shown() {
    let error = load("database_url = \"mysql://me:secret@host/name\"").map(drop).expect_err("not ours");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn notification_settings_are_validated_and_secrets_hidden() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mail = "smtp_url = \"smtps://me:s3cr%40et@mail.example.org\"\nmail_from = \"Pipewatch <p@example.org>\"";
    for (text, expect) in [
        ("webhook_url = \"\"".to_owned(), Ok("[]")),
        (format!("webhook_url = \"https://hidden.example.org/x\"\nwebhook_secret = \"{secret}\""), Ok("[webhook]")),
        ("slack_url = \"https://hidden.example.org/x\"".into(), Ok("[slack]")),
        (
            format!("{mail}\nmail_to = [\"a@example.org\", \"B <b@example.org>\"]"),
            Ok("[email:a@example.org email:b@example.org]"),
        ),
        ("webhook_url = \"hidden.example.org\"".into(), Err("notifications.webhook_url")),
        ("webhook_url = \"ftp://hidden.example.org\"".into(), Err("notifications.webhook_url")),
        (format!("webhook_secret = \"{secret}\""), Err("notifications.webhook_url")),
        ("webhook_url = \"https://x\"\nwebhook_secret = \"hidden\"".into(), Err("notifications.webhook_secret")),
        (mail.into(), Err("notifications.mail_to")),
        (format!("{mail}\nmail_to = [\"nobody\"]"), Err("notifications.mail_to")),
        ("mail_to = [\"a@example.org\"]".into(), Err("notifications.smtp_url")),
        ("smtp_url = \"smtp://x\"\nmail_to = [\"a@example.org\"]".into(), Err("notifications.mail_from")),
        (format!("{mail}\nmail_to = [\"a@example.org\"]").replace("smtps", "smtp"), Err("notifications.smtp_url")),
        (format!("{mail}\nmail_to = [\"a@example.org\"]").replace("smtps", "https"), Err("notifications.smtp_url")),
    ] {
        let text = format!("[notifications]\n{text}");
        let (found, shown) = match load(&text) {
            Ok(config) => (Ok(format!("{:?}", config.notifications)), format!("{config:?}")),
            Err(error) => (Err(error.key.clone()), error.to_string()),
        };
        assert_eq!(found.as_deref().map_err(String::as_str), expect, "{text}");
        for hidden in ["hidden", "s3cr", "MfKQ9r8"] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
    }
    let flags = Flags {
        notifications: NotificationSettings { slack_url: Some("https://hidden".into()), ..Default::default() },
        ..Flags::default()
    };
    assert!(!format!("{flags:?}").contains("hidden"));
}

#[test]
fn tokens_come_from_the_environment_or_the_file_and_are_hidden() {
    let (_file, flags) = with_file("tokens = [\"s3cr3t-of-the-file\"]");
    for (environment, has, has_not) in [
        (None, Some("s3cr3t-of-the-file"), "token-of-the-env"),
        (Some("token-of-the-env"), Some("token-of-the-env"), "s3cr3t-of-the-file"),
        (Some(" token-of-the-env , another-of-the-env"), Some("another-of-the-env"), "s3cr3t-of-the-file"),
    ] {
        let flags = Flags { tokens: environment.map(Secret::list), ..flags.clone() };
        let config = Config::load(flags.clone(), None).expect("good settings");
        assert!(config.tokens.viewer(has).is_some(), "{environment:?}");
        assert!(config.tokens.viewer(Some(has_not)).is_none(), "{environment:?}");
        let shown = format!("{config:?} {flags:?} {:?}", read_file(flags.database.config.as_deref()));
        assert!(!shown.contains("s3cr3t") && !shown.contains("of-the-env"), "{shown}");
    }
    for (bad, is_short) in [("s3cr3t of 16 and more", false), ("s3cr3t-too-shor", true)] {
        let error = load(&format!("tokens = [\"{bad}\"]")).map(drop).expect_err("a bad token").to_string();
        assert!(!error.contains("s3cr3t"), "{error}");
        assert_eq!(error.contains("16 characters"), is_short, "{error}");
    }
    for empty in ["", ",", "token-of-the-env,,another-of-the-env"] {
        let bad = Flags { tokens: Some(Secret::list(empty)), ..Flags::default() };
        assert_eq!(Config::load(bad, None).map(drop).expect_err("an empty token").key, "tokens", "{empty:?}");
    }
}
