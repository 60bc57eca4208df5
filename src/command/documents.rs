//! Shell completions and man pages.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{fail, print};

#[derive(Args)]
pub(crate) struct CompletionsArguments {
    shell: Shell,
}

#[derive(Args)]
pub(crate) struct ManArguments {
    /// Folder for the pages, one per subcommand
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn completions(arguments: &CompletionsArguments, mut program: Command) -> ExitCode {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, name, &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

pub(crate) fn man(arguments: &ManArguments, program: Command) -> ExitCode {
    let written = std::fs::create_dir_all(&arguments.folder).and_then(|()| write_pages(&arguments.folder, program));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{}: {error}", arguments.folder.display())),
    }
}

fn write_pages(folder: &std::path::Path, program: Command) -> io::Result<()> {
    // Without it, pages would show this machine's environment.
    clap_mangen::generate_to(program.disable_help_subcommand(true), folder)
}
