use std::process::Command;

use crate::support::shell::{nowhere, ran};

#[test]
fn completions_are_valid_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = ran(folder.path(), &nowhere(), &["completions", shell]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("record") && ran.stdout.contains("database-url"), "{shell}");
    }
    let script = folder.path().join("pipewatch.bash");
    std::fs::write(&script, ran(folder.path(), &nowhere(), &["completions", "bash"]).stdout).expect("written");
    let complete = "source \"$0\"; COMP_WORDS=(pipewatch rec); COMP_CWORD=1; _pipewatch pipewatch rec pipewatch; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", complete]).arg(&script).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "record", "{output:?}");
    assert_eq!(ran(folder.path(), &nowhere(), &["completions", "csh"]).status, 64);
}

#[test]
fn man_pages_describe_every_subcommand() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = ran(folder.path(), &nowhere(), &["man", "pages/man1"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let page = |name: &str| std::fs::read_to_string(folder.path().join("pages/man1").join(name)).expect("a page");
    for name in ["serve", "record", "run", "spool", "spool-flush", "check", "watch", "dbt", "migrate-up"] {
        assert!(page(&format!("pipewatch-{name}.1")).starts_with(".ie"), "{name}");
    }
    assert!(page("pipewatch-record.1").contains("PIPEWATCH_SPOOL"));
    let secret = "postgres://user:password@host/name";
    let mut with_secret = crate::support::shell::command(folder.path(), &nowhere(), &["man", "pages"]);
    assert!(with_secret.env("DATABASE_URL", secret).status().expect("the program").success());
    let serve = std::fs::read_to_string(folder.path().join("pages/pipewatch-serve.1")).expect("a page");
    assert!(!serve.contains("password@"), "pages contain no settings of this machine");
}
