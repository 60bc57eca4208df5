//! Settings are accepted before and after the subcommand.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Command;

/// Moves options that precede the subcommand behind its name: `pipewatch --server URL check` becomes
/// `pipewatch check --server URL`.
pub(crate) fn reorder(program: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let takes_value = options(program);
    let mut rest = arguments.iter().skip(1);
    let mut moved = 0;
    loop {
        let Some(text) = rest.next().and_then(|argument| argument.to_str()) else { return arguments };
        if !text.starts_with('-') {
            break;
        }
        let (name, has_value) = text.split_once('=').map_or((text, false), |(name, _)| (name, true));
        match takes_value.get(name) {
            Some(true) if !has_value => {
                rest.next();
                moved += 2;
            }
            Some(_) => moved += 1,
            // An option of the program itself, or an unknown one.
            None => return arguments,
        }
    }
    let mut reordered = arguments;
    let Some(end) = reordered.get_mut(1..=moved + 1) else { return reordered };
    end.rotate_right(1);
    reordered
}

/// The options of all subcommands, and whether they take a value.
fn options(program: &Command) -> BTreeMap<String, bool> {
    let mut all = BTreeMap::new();
    for subcommand in program.get_subcommands() {
        for argument in subcommand.get_arguments() {
            let long = argument.get_long_and_visible_aliases().unwrap_or_default();
            let short = argument.get_short_and_visible_aliases().unwrap_or_default();
            let long = long.into_iter().map(|name| format!("--{name}"));
            let names = long.chain(short.into_iter().map(|name| format!("-{name}")));
            all.extend(names.map(|name| (name, argument.get_action().takes_values())));
        }
        all.extend(options(subcommand));
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction};

    use super::*;

    fn reordered(line: &str) -> String {
        let check = Command::new("check").arg(Arg::new("server").long("server").short('u'));
        let serve = Command::new("serve").arg(Arg::new("demo").long("demo").action(ArgAction::SetTrue));
        let program = Command::new("pipewatch").subcommands([check, serve]);
        let words = reorder(&program, line.split(' ').map(OsString::from).collect());
        words.join(" ".as_ref()).into_string().expect("text")
    }

    #[test]
    fn options_move_behind_the_subcommand() {
        for (line, expect) in [
            ("p check --server x", "p check --server x"),
            ("p --server x check a", "p check --server x a"),
            ("p --server=x check a", "p check --server=x a"),
            ("p -u x --demo serve -- --server", "p serve -u x --demo -- --server"),
            ("p --demo serve", "p serve --demo"),
            ("p --version", "p --version"),
            ("p --server", "p --server"),
            ("p --unknown check", "p --unknown check"),
            ("p", "p"),
        ] {
            assert_eq!(reordered(line), expect, "{line}");
        }
    }
}
