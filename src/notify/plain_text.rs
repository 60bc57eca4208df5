//! Escapes untrusted texts for chats, so that they cannot mention anyone or add links.

/// A zero-width space, which separates characters that a chat would read as a mention or a link.
const SEPARATOR: char = '\u{200B}';

/// Escapes a text for an incoming webhook of Slack, Mattermost, Rocket.Chat or Discord.
///
/// The three characters that Slack requires are escaped. Mattermost interprets `@channel` and Markdown regardless of the
/// request's options, and Discord undoes the escapes, so a separator breaks mentions (`@here`, `<!here>`, `#channel`, `~channel`), Markdown links
/// (`[text](address)`), addresses with a scheme (`https://…`, `mailto:…`) and bare domains (`www.example.org`).
pub(super) fn plain_text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let after = letters.peek().copied().unwrap_or(' ');
        match letter {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '\n' => plain.push('\n'),
            control if control.is_control() => plain.push(' '),
            other => plain.push(other),
        }
        let is_broken = match letter {
            '@' | '#' | '~' | '<' => true,
            ']' => matches!(after, '(' | '[' | ':'),
            ':' => before.is_alphabetic() && !after.is_whitespace(),
            '.' => before.is_alphanumeric() && after.is_alphabetic(),
            _ => false,
        };
        if is_broken {
            plain.push(SEPARATOR);
        }
        before = letter;
    }
    plain
}

/// The first `max` characters of a text, with an ellipsis if it is longer.
pub(super) fn truncate(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_and_links_are_defused() {
        for (text, expect) in [
            ("punch of news is silent", "punch of news is silent"),
            ("@everyone", "@_everyone"),
            ("@here and @channel", "@_here and @_channel"),
            ("<!channel> & co", "&lt;_!channel&gt; &amp; co"),
            ("<!here> <!everyone>", "&lt;_!here&gt; &lt;_!everyone&gt;"),
            ("<@U024BE7LH>", "&lt;_@_U024BE7LH&gt;"),
            ("<@&165511591545143296>", "&lt;_@_&amp;165511591545143296&gt;"),
            ("<#C024BE7LR>", "&lt;_#_C024BE7LR&gt;"),
            ("<!subteam^S012>", "&lt;_!subteam^S012&gt;"),
            ("#general ~town-square", "#_general ~_town-square"),
            ("<https://evil.example|click>", "&lt;_https:_//evil._example|click&gt;"),
            ("[click](https://evil.example)", "[click]_(https:_//evil._example)"),
            ("![image](HTTPS://EVIL.EXAMPLE/a.png)", "![image]_(HTTPS:_//EVIL._EXAMPLE/a._png)"),
            ("[click][1] [1]: x", "[click]_[1] [1]_: x"),
            ("www.evil.example", "www._evil._example"),
            ("mailto:ada@evil.example", "mailto:_ada@_evil._example"),
            ("55 of 100: 55.5 %, since 2026-01-28T15:30:45.5Z.", "55 of 100: 55.5 %, since 2026-01-28T15:30:45.5Z."),
            ("two\nlines\u{7}\r", "two\nlines  "),
        ] {
            assert_eq!(plain_text(text).replace(SEPARATOR, "_"), expect, "{text:?}");
        }
    }

    #[test]
    fn long_texts_are_truncated_between_characters() {
        for (text, max, expect) in [("", 3, ""), ("äöü", 3, "äöü"), ("äöüß", 3, "äöü…"), ("💧💧", 1, "💧…")]
        {
            assert_eq!(truncate(text, max), expect);
        }
    }
}
