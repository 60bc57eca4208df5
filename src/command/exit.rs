//! The exit statuses of the commands that talk to a server, with the numbers of `sysexits.h`.

/// An invalid setting or argument.
pub(crate) const USAGE: u8 = 64;
/// The server refused a report because of its content.
pub(crate) const REFUSED: u8 = 65;
/// A file cannot be read.
pub(crate) const NO_INPUT: u8 = 66;
/// The server cannot be reached, or is unavailable.
pub(crate) const UNAVAILABLE: u8 = 69;
/// The spool is full.
pub(crate) const SPOOL_FULL: u8 = 73;
/// The spool cannot be written.
pub(crate) const SPOOL_ERROR: u8 = 74;
/// The address is not one of a Pipewatch server, or the server refuses requests to it.
pub(crate) const WRONG_SERVER: u8 = 76;
/// The server requires a token, or refused it.
pub(crate) const TOKEN_REFUSED: u8 = 77;
/// `pipewatch run` failed before it started the command.
pub(crate) const NOT_STARTED: u8 = 125;
/// The command of `pipewatch run` cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command of `pipewatch run` does not exist.
pub(crate) const NOT_FOUND: u8 = 127;

/// The part of `--help` about the server and the exit statuses of the reporting commands.
pub(crate) const ABOUT_REPORTING: &str = "\
Access token: set PIPEWATCH_TOKEN if the server requires one.

Reports that cannot be delivered are kept in the spool and delivered by the next command that reports, in order and once.

Exit status:
   0  stored, or kept in the spool
  64  invalid argument or setting
  65  the server refused a report; its errors are printed
  66  a file cannot be read
  69  the server cannot be reached (with --no-spool)
  73  the spool is full
  74  the spool cannot be written
  76  the address is not one of a Pipewatch server
  77  the token is missing or invalid";
