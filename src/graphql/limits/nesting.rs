use crate::graphql::limits::exceeded::{Exceeded, MAX_BRACKETS, MAX_DOCUMENT, MAX_NAME};

/// Checks the size of a document, the depth of its brackets and the length of its names, in one pass without
/// recursion: the parser recurses on each bracket, and a deep document would overflow its stack.
///
/// In a malformed document it may count brackets that the parser does not reach, but never misses one that it does.
pub(crate) fn check(document: &str) -> Result<(), Exceeded> {
    if document.len() > MAX_DOCUMENT {
        return Err(Exceeded::Bytes(document.len()));
    }
    let mut rest = document.as_bytes();
    let (mut open, mut name) = (0_usize, 0_usize);
    while let Some((&byte, behind)) = rest.split_first() {
        name = if byte == b'_' || byte.is_ascii_alphanumeric() { name + 1 } else { 0 };
        if name > MAX_NAME {
            return Err(Exceeded::Name);
        }
        rest = match byte {
            b'{' | b'[' | b'(' => {
                open += 1;
                if open > MAX_BRACKETS {
                    return Err(Exceeded::Brackets);
                }
                behind
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                behind
            }
            b'"' => behind_string(rest),
            b'#' => behind.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(&[][..], |end| &behind[end..]),
            _ => behind,
        };
    }
    Ok(())
}

/// The text behind the string that starts here. An unterminated string is treated as in the parser: three quotes as
/// an empty string and another quote, a single quote as nothing.
fn behind_string(text: &[u8]) -> &[u8] {
    if let Some(block) = text.strip_prefix(b"\"\"\"") {
        return behind_block(block).unwrap_or(&text[2..]);
    }
    let content = &text[1..];
    let mut at = 0;
    while let Some(byte) = content.get(at) {
        match byte {
            b'"' => return &content[at + 1..],
            b'\n' | b'\r' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    content
}

fn behind_block(content: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while at < content.len() {
        match &content[at..] {
            [b'\\', b'"', b'"', b'"', ..] => at += 4,
            [b'"', b'"', b'"', behind @ ..] => return Some(behind),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn nesting_is_limited_outside_of_strings_and_comments() {
        let nested = |open: &str, times: usize| open.repeat(times);
        let deep = nested("{", 2_000);
        for (document, expect) in [
            ("{ a }".to_owned(), Ok(())),
            (nested("{a", 64) + &nested("}", 64), Ok(())),
            (nested("{a", 65) + &nested("}", 65), Err(Exceeded::Brackets)),
            (nested("{a", 10_000), Err(Exceeded::Brackets)),
            (format!("{{ a(b: {}", nested("[", 20_000)), Err(Exceeded::Brackets)),
            (format!("query ($a: {}", nested("[", 20_000)), Err(Exceeded::Brackets)),
            (format!("{{ a(b: {}", nested("{c:", 10_000)), Err(Exceeded::Brackets)),
            (nested("{a}", 10_000), Ok(())),
            (format!("{{ a(b: \"{deep}\") }}"), Ok(())),
            (format!("{{ a(b: \"\\\"{deep}\") }}"), Ok(())),
            (format!("{{ a(b: \"\"\"{deep}\n\\\"\"\"{deep}\"\"\") }}"), Ok(())),
            (format!("{{ a }} # {deep}"), Ok(())),
            (format!("{{ a }} # b\r{deep}"), Err(Exceeded::Brackets)),
            (format!("{{ a(b: \"\" c: {deep}"), Err(Exceeded::Brackets)),
            // Strings without an end hide nothing that the parser may reach.
            (format!("{{ a(b: [\"\"\"abc\" {deep}"), Err(Exceeded::Brackets)),
            (format!("{{ a(b: \"abc\n{deep}"), Err(Exceeded::Brackets)),
            (" ".repeat(MAX_DOCUMENT), Ok(())),
            (" ".repeat(MAX_DOCUMENT + 1), Err(Exceeded::Bytes(MAX_DOCUMENT + 1))),
            (format!("{{ {} }}", "a".repeat(MAX_NAME)), Ok(())),
            (format!("{{ {} }}", "a".repeat(MAX_NAME + 1)), Err(Exceeded::Name)),
        ] {
            assert_eq!(check(&document), expect, "{document:.60}");
        }
    }

    /// Every mix of brackets, quotes, escapes and comments that passes is parsed on a worker's stack.
    #[test]
    fn parser_survives_what_passes() {
        let tokens = ["{", "[", "(", "}", "a", ":", "\"", "\"\"\"", "\\", "#", "\n", "...", "$", "@"];
        let mut state = 1_u64;
        for _ in 0..2_000 {
            let mut document = String::from("{a(b:");
            for _ in 0..200 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                document.push_str(tokens[usize::try_from(state >> 33).unwrap_or(0) % tokens.len()]);
            }
            if check(&document).is_ok() {
                drop(parse_query(&document));
            }
        }
    }
}
