//! Long texts of a report, of which a part is kept.

use crate::domain::report::fields::Fields;

/// Bytes of an error or a log that are kept.
const MAX_TEXT: usize = 16 * 1024;

/// Something that was accepted, but not as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWarning {
    pub field: &'static str,
    pub message: String,
}

pub(super) fn error(fields: &mut Fields) -> Option<String> {
    fields.optional("error", "a text without U+0000", |value| {
        let text = value.as_str()?;
        (!text.contains('\0')).then(|| text.to_owned())
    })
}

/// The output of a run, which may have any bytes. Databases refuse U+0000.
pub(super) fn log(fields: &mut Fields) -> Option<String> {
    fields.optional("log", "a text", |value| Some(value.as_str()?.replace('\0', "\u{fffd}")))
}

/// Keeps the beginning of an error.
pub(super) fn cut_error(text: &mut String) -> Option<FieldWarning> {
    let length = text.len();
    if length <= MAX_TEXT {
        return None;
    }
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.push_str("\n[… cut after 16 KiB]");
    text.shrink_to_fit();
    Some(FieldWarning { field: "error", message: format!("cut: the first 16 KiB of {length} bytes are kept") })
}

/// Keeps the end of a log.
pub(super) fn cut_log(text: &mut String) -> Option<FieldWarning> {
    let length = text.len();
    if length <= MAX_TEXT {
        return None;
    }
    let begin = text.ceil_char_boundary(length - MAX_TEXT);
    *text = format!("[cut: only the last 16 KiB …]\n{}", &text[begin..]);
    Some(FieldWarning { field: "log", message: format!("cut: the last 16 KiB of {length} bytes are kept") })
}

/// A log with a further text, of which the end is kept.
pub fn extended_log(log: Option<String>, text: &str) -> String {
    let mut log = log.map_or_else(String::new, |log| if log.ends_with('\n') { log } else { log + "\n" });
    log.push_str(text);
    cut_log(&mut log);
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character() {
        for (text, kept) in [
            ("a".repeat(MAX_TEXT), None),
            ("ä".repeat(MAX_TEXT / 2), None),
            ("a".repeat(MAX_TEXT + 1), Some(MAX_TEXT)),
            ("€".repeat(MAX_TEXT), Some(MAX_TEXT - 1)),
            (format!("{}€", "a".repeat(MAX_TEXT - 1)), Some(MAX_TEXT - 1)),
        ] {
            let mut error = text.clone();
            let warning = cut_error(&mut error);
            assert_eq!(warning.is_some(), kept.is_some());
            let start = &text[..kept.unwrap_or(text.len())];
            assert!(error.starts_with(start) && error.len() <= MAX_TEXT + 32, "{} bytes", error.len());
            assert_eq!(error.contains("cut after 16 KiB"), kept.is_some());
        }
        let mut log = format!("€{}", "a".repeat(MAX_TEXT - 1));
        assert!(cut_log(&mut log).is_some());
        assert!(log.starts_with("[cut") && log.ends_with(&format!("\n{}", "a".repeat(MAX_TEXT - 1))), "{}", log.len());
        let mut short = "line 1\nline 2".to_owned();
        assert_eq!(cut_log(&mut short), None);
        assert_eq!(short, "line 1\nline 2");
    }
}
