//! The file in which a command reports its results: `$PIPEWATCH_REPORT`.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// The variable with the path of the file.
pub(super) const VARIABLE: &str = "PIPEWATCH_REPORT";
/// The largest file that is read.
const MAX_SIZE: u64 = 1024 * 1024;
/// What `pipewatch run` knows better than the command.
const RESERVED: [&str; 6] = ["id", "pipeline", "source", "timestamp", "started_at", "duration"];

/// A folder of its own for the file, removed when it is dropped.
pub(super) struct ResultsFile {
    folder: PathBuf,
}

impl ResultsFile {
    pub(super) fn create() -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("pipewatch-{}", uuid::Uuid::new_v4().simple()));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("report.json")
    }

    /// The fields that the command has written, with warnings about ignored ones. Empty without a file.
    pub(super) fn read(&self) -> (Map<String, Value>, Vec<String>) {
        let is_too_large = fs::metadata(self.path()).is_ok_and(|metadata| metadata.len() > MAX_SIZE);
        if is_too_large {
            return (Map::new(), vec![format!("${VARIABLE} is larger than {MAX_SIZE} bytes")]);
        }
        match fs::read(self.path()) {
            Ok(text) if text.trim_ascii().is_empty() => (Map::new(), Vec::new()),
            Ok(text) => parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Map::new(), Vec::new()),
            Err(error) => (Map::new(), vec![format!("cannot read ${VARIABLE}: {error}")]),
        }
    }
}

impl Drop for ResultsFile {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn parse(text: &[u8]) -> (Map<String, Value>, Vec<String>) {
    let mut fields = match serde_json::from_slice(text) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return (Map::new(), vec![format!("${VARIABLE} is not a JSON object")]),
        Err(error) => return (Map::new(), vec![format!("${VARIABLE} is not valid JSON: {error}")]),
    };
    let reserved = RESERVED.into_iter().filter(|name| fields.remove(*name).is_some());
    let mut warnings: Vec<_> =
        reserved.map(|name| format!("${VARIABLE}: {name} is ignored; pipewatch run sets it")).collect();
    if fields.get("outcome").is_some_and(|outcome| outcome == "running") {
        fields.remove("outcome");
        warnings.push(format!("${VARIABLE}: the outcome \"running\" is ignored, the command has ended"));
    }
    (fields, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_command_are_read() {
        let file = ResultsFile::create().expect("a folder");
        assert_eq!(file.read(), (Map::new(), vec![]), "no file");
        for (text, names, warnings) in [
            ("", &[][..], 0),
            ("{\"counts\":{\"rows\":1},\"tags\":[\"a\"]}", &["counts", "tags"], 0),
            ("{\"id\":\"x\",\"timestamp\":\"y\",\"outcome\":\"failed\"}", &["outcome"], 2),
            ("{\"outcome\":\"running\"}", &[], 1),
            ("[]", &[], 1),
            ("{", &[], 1),
        ] {
            fs::write(file.path(), text).expect("written");
            let (fields, warned) = file.read();
            assert_eq!(
                (fields.keys().map(String::as_str).collect::<Vec<_>>().as_slice(), warned.len()),
                (names, warnings)
            );
        }
        let folder = file.folder.clone();
        drop(file);
        assert!(!folder.exists());
    }
}
