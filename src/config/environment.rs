//! Checks environment variables at startup: an empty credential or a misspelt setting would otherwise silently leave the
//! server unprotected.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use clap::Command;

use crate::config::error::ConfigError;

/// The prefix of all settings except `DATABASE_URL` and `PORT`.
const PREFIX: &str = "PIPEWATCH_";
/// The server's access tokens.
pub const TOKENS: &str = "PIPEWATCH_TOKENS";
/// A client's access token.
pub const TOKEN: &str = "PIPEWATCH_TOKEN";
/// The variables of clients. `pipewatch run` sets the last one for its command.
const CLIENT_VARIABLES: [&str; 4] = [TOKEN, "PIPEWATCH_URL", "PIPEWATCH_SPOOL", "PIPEWATCH_REPORT"];
/// The subcommands that talk to a server.
const CLIENTS: [&str; 7] = ["check", "dbt", "record", "replay", "run", "spool", "watch"];
/// A name within this edit distance of a setting is rejected as misspelt.
const MAX_TYPOS: usize = 2;

/// A variable that is not a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    name: String,
    nearest: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ignoring unknown variable {}; the most similar setting is {}", self.name, self.nearest)
    }
}

/// Checks the variables for a subcommand, and returns the unknown ones.
///
/// # Errors
/// If a credential is empty, or a name is within two letters of a setting's.
pub fn check(
    program: &Command,
    subcommand: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Unknown>, ConfigError> {
    let credentials = credentials(program, subcommand);
    let settings = settings(program);
    let mut unknown = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        if credentials.contains(&name) {
            let value = value.to_str().ok_or_else(|| ConfigError::new(&name, "the value is not valid UTF-8"))?;
            if value.trim().is_empty() {
                return Err(ConfigError::new(
                    name,
                    "the variable is set but empty; set a value, or unset the variable",
                ));
            }
        }
        let is_known = settings.contains(&name) || CLIENT_VARIABLES.contains(&name.as_str());
        if !name.starts_with(PREFIX) || is_known || is_of_kubernetes(&name, &value.to_string_lossy()) {
            continue;
        }
        let distance = |setting: &&String| strsim::damerau_levenshtein(&name, setting);
        let Some(nearest) = settings.iter().min_by_key(distance) else { continue };
        if distance(&nearest) <= MAX_TYPOS {
            let message = format!("unknown variable; did you mean {nearest}? Rename it, or unset it");
            return Err(ConfigError::new(name, message));
        }
        unknown.push(Unknown { nearest: nearest.clone(), name });
    }
    unknown.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(unknown)
}

/// The names of the settings of all subcommands.
fn settings(program: &Command) -> BTreeSet<String> {
    let own = program.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    let below = program.get_subcommands().flat_map(settings);
    own.chain(below).chain([TOKENS.to_owned()]).filter(|name| name.starts_with(PREFIX)).collect()
}

/// The credentials of a subcommand: variables whose values `--help` hides, and the tokens, which are not flags.
fn credentials(program: &Command, subcommand: &str) -> BTreeSet<String> {
    let arguments = program.find_subcommand(subcommand).into_iter().flat_map(Command::get_arguments);
    let hidden = arguments.filter(|argument| argument.is_hide_env_values_set());
    let names = hidden.filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    let tokens = match subcommand {
        "serve" => Some(TOKENS),
        client if CLIENTS.contains(&client) => Some(TOKEN),
        _ => None,
    };
    names.chain(tokens.map(str::to_owned)).collect()
}

/// Whether Kubernetes has set the variable for a service whose name begins with `pipewatch`: it sets seven per service port in
/// every container.
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_protocol = |text: &str| matches!(text, "TCP" | "UDP" | "SCTP");
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // `…_PORT` alone may be meant as a setting, but Kubernetes' value is a URL.
    if name.ends_with("_PORT") && ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme)) {
        return true;
    }
    // `…_PORT_8000_TCP`, and the same with _PROTO, _PORT or _ADDR.
    let Some((_, rest)) = name.split_once("_PORT_") else { return false };
    let mut parts = rest.split('_');
    let is_number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    let ends = |part: Option<&str>| matches!(part, None | Some("PROTO" | "PORT" | "ADDR"));
    is_number && parts.next().is_some_and(is_protocol) && ends(parts.next()) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn program() -> Command {
        let secret = |name| Arg::new(name).env(name).hide_env_values(true);
        let serve = Command::new("serve").arg(Arg::new("listen").env("PIPEWATCH_LISTEN"));
        let serve = serve.arg(secret("PIPEWATCH_SMTP_URL")).arg(secret("DATABASE_URL"));
        let migrate = Command::new("migrate").arg(secret("DATABASE_URL")).arg(Arg::new("log").env("PIPEWATCH_LOG"));
        Command::new("pipewatch").subcommands([serve, migrate, Command::new("replay")])
    }

    fn checked(subcommand: &str, variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let checked = check(&program(), subcommand, variables);
        checked.map(|all| all.into_iter().map(|it| it.name).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_credential_is_named() {
        for (subcommand, name, is_refused) in [
            ("serve", "PIPEWATCH_TOKENS", true),
            ("serve", "PIPEWATCH_SMTP_URL", true),
            ("serve", "DATABASE_URL", true),
            ("serve", "PIPEWATCH_TOKEN", false),
            ("serve", "PIPEWATCH_LISTEN", false),
            ("migrate", "DATABASE_URL", true),
            ("migrate", "PIPEWATCH_TOKENS", false),
            ("replay", "PIPEWATCH_TOKEN", true),
            ("replay", "DATABASE_URL", false),
        ] {
            for value in ["", " ", "\t\n"] {
                let found = checked(subcommand, &[(name, value)]);
                let is_named = found.as_ref().is_err_and(|error| error.starts_with(&format!("{name}: ")));
                assert_eq!((is_named, found.is_err()), (is_refused, is_refused), "{subcommand} {name} {found:?}");
            }
            assert_eq!(checked(subcommand, &[(name, "x")]), Ok(vec![]), "{subcommand} {name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn credential_that_is_not_utf8_is_rejected() {
        use std::os::unix::ffi::OsStringExt as _;
        let variable = (OsString::from(TOKENS), OsString::from_vec(vec![0xff; 20]));
        assert_eq!(check(&program(), "serve", [variable]).expect_err("no text").key, TOKENS);
    }

    #[test]
    fn unknown_name_is_a_warning_and_a_misspelt_one_an_error() {
        for (name, value, expect) in [
            ("PIPEWATCH_LISTN", "x", Some("PIPEWATCH_LISTEN")),
            ("PIPEWATCH_LSITNE", "x", Some("PIPEWATCH_LISTEN")),
            ("PIPEWATCH_TOKNES", "x", Some("PIPEWATCH_TOKENS")),
            ("PIPEWATCH_TOKENSS", "", Some("PIPEWATCH_TOKENS")),
            ("PIPEWATCH__TOKENS", "x", Some("PIPEWATCH_TOKENS")),
            ("PIPEWATCH_SMTPURL", "x", Some("PIPEWATCH_SMTP_URL")),
        ] {
            let error = checked("serve", &[(name, value)]).expect_err(name);
            assert!(error.starts_with(name) && error.contains(expect.expect("a setting")), "{error}");
        }
        for (name, value, is_warned_of) in [
            ("PIPEWATCH_SOMETHING", "x", true),
            ("PIPEWATCH_LISTEN_ADDRESS", "x", true),
            ("PIPEWATCH_PORT", "8000", true),
            ("PIPEWATCH_PORT_8000", "x", true),
            ("PIPEWATCH_", "x", true),
            ("PIPEWATCH_URL", "x", false),
            ("PIPEWATCH_TOKEN", "x", false),
            ("PIPEWATCHER", "x", false),
            ("LISTEN", "x", false),
            ("PIPEWATCH_SERVICE_HOST", "10.0.0.1", false),
            ("PIPEWATCH_SERVICE_PORT", "8000", false),
            ("PIPEWATCH_SERVICE_PORT_HTTP", "8000", false),
            ("PIPEWATCH_PORT", "tcp://10.0.0.1:8000", false),
            ("PIPEWATCH_PORT_8000_TCP", "tcp://10.0.0.1:8000", false),
            ("PIPEWATCH_PORT_8000_TCP_PROTO", "tcp", false),
            ("PIPEWATCH_PORT_8000_TCP_PORT", "8000", false),
            ("PIPEWATCH_PORT_8000_TCP_ADDR", "10.0.0.1", false),
            ("PIPEWATCH_DB_PORT_5432_TCP_ADDR", "10.0.0.1", false),
        ] {
            let expect = if is_warned_of { vec![name.to_owned()] } else { vec![] };
            assert_eq!(checked("serve", &[(name, value)]), Ok(expect), "{name}");
        }
        let unknown = Unknown { name: "PIPEWATCH_A".into(), nearest: "PIPEWATCH_LOG".into() };
        assert!(unknown.to_string().contains("PIPEWATCH_A") && unknown.to_string().contains("PIPEWATCH_LOG"));
    }
}
