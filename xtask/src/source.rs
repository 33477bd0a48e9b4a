//! A Rust source file taken apart: code, comments and string literals, each with its line.

use std::path::Path;

/// One line, with the parts told from each other.
#[derive(Default)]
pub(crate) struct Line {
    /// The code, each literal reduced to its quotes.
    pub(crate) code: String,
    /// What stands in comments, documentation included.
    pub(crate) comment: String,
    /// In a unit test, or in a file that is nothing but tests.
    pub(crate) test: bool,
}

/// A file of the workspace.
pub(crate) struct Source<'a> {
    /// From the workspace's directory, with `/` between its parts.
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) lines: Vec<Line>,
    /// String literals with the line, counted from 1, on which each begins.
    pub(crate) literals: Vec<(usize, String)>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let mut reader = Reader::new(text);
        reader.read();
        let mut source = Source { path, text, lines: reader.lines, literals: reader.literals };
        source.mark_tests();
        source
    }

    /// Whether the file is the module of that path or one below it: `src/store`
    /// is `src/store.rs` and what lies in `src/store/`.
    pub(crate) fn is_in(&self, module: &str) -> bool {
        self.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The file's name without its extension, and the directories that lead to it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let stem = Path::new(self.path).with_extension("");
        let stem = stem.to_str().map_or(0, str::len);
        self.path[..stem].split('/')
    }

    fn mark_tests(&mut self) {
        let all = self.names().any(|name| matches!(name, "tests" | "benches" | "examples"));
        let mut depth = 0_usize;
        let mut announced = false;
        for line in &mut self.lines {
            let begins = line.code.contains("#[cfg(test)]");
            announced |= begins;
            line.test = all || announced || depth > 0;
            for character in line.code.chars() {
                match character {
                    '{' if announced || depth > 0 => {
                        announced = false;
                        depth += 1;
                    }
                    '}' => depth = depth.saturating_sub(1),
                    // `#[cfg(test)] mod tests;` or an import: nothing follows.
                    ';' if announced => announced = false,
                    _ => {}
                }
            }
        }
    }
}

/// Finds `needle` where it is not part of a longer name on its left.
pub(crate) fn mentions(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(at, _)| {
        !code[..at]
            .chars()
            .next_back()
            .is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

struct Reader<'a> {
    rest: &'a str,
    before: char,
    lines: Vec<Line>,
    literals: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { rest: text, before: '\n', lines: vec![Line::default()], literals: Vec::new() }
    }

    fn read(&mut self) {
        while let Some(character) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.comment(end);
            } else if self.rest.starts_with("/*") {
                self.comment(block_comment(self.rest));
            } else if character == '"' {
                self.literal(1, 1, escaped(&self.rest[1..]));
            } else if let Some(opening) = raw_opening(self.rest, self.before) {
                let hashes = &self.rest[opening.hashes..opening.length - 1];
                let closing = format!("\"{hashes}");
                let content = &self.rest[opening.length..];
                let length = content.find(&closing).unwrap_or(content.len());
                self.literal(opening.length, closing.len(), length);
            } else if character == '\'' && character_literal(self.rest) > 1 {
                self.take(character_literal(self.rest));
                self.push("''");
            } else {
                self.code(character.len_utf8());
            }
        }
    }

    fn code(&mut self, length: usize) {
        for character in self.take(length).chars() {
            if character == '\n' {
                self.lines.push(Line::default());
            } else if let Some(line) = self.lines.last_mut() {
                line.code.push(character);
            }
            self.before = character;
        }
    }

    fn comment(&mut self, length: usize) {
        for (index, part) in self.take(length).split('\n').enumerate() {
            if index > 0 {
                self.lines.push(Line::default());
            }
            if let Some(line) = self.lines.last_mut() {
                line.comment.push_str(part);
            }
        }
        self.before = ' ';
    }

    fn literal(&mut self, opening: usize, closing: usize, length: usize) {
        let line = self.lines.len();
        let whole = (opening + length + closing).min(self.rest.len());
        let content = &self.take(whole)[opening..opening + length];
        self.literals.push((line, content.to_owned()));
        self.push("\"\"");
        for _ in content.matches('\n') {
            self.lines.push(Line::default());
        }
    }

    /// Puts something into the code in place of a literal.
    fn push(&mut self, instead: &str) {
        if let Some(line) = self.lines.last_mut() {
            line.code.push_str(instead);
        }
        self.before = ' ';
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a string's content, its closing quote not counted.
fn escaped(content: &str) -> usize {
    let mut characters = content.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return at,
            '\\' => {
                characters.next();
            }
            _ => {}
        }
    }
    content.len()
}

struct RawOpening {
    hashes: usize,
    length: usize,
}

/// What opens a raw string: `r"`, `r#"`, `br##"`, `cr"`, unless it is the end of a longer name.
fn raw_opening(text: &str, before: char) -> Option<RawOpening> {
    if before.is_alphanumeric() || before == '_' {
        return None;
    }
    let hashes = ["r", "br", "cr"]
        .iter()
        .find(|prefix| {
            text.strip_prefix(**prefix).is_some_and(|rest| rest.starts_with(['"', '#']))
        })?
        .len();
    let rest = &text[hashes..];
    let count = rest.len() - rest.trim_start_matches('#').len();
    // `r#type` is a name.
    rest[count..].starts_with('"').then_some(RawOpening { hashes, length: hashes + count + 1 })
}

/// The length of `'x'` or `'\n'`; 1 where the quote begins a lifetime.
fn character_literal(text: &str) -> usize {
    let content = &text[1..];
    if let Some(escape) = content.strip_prefix('\\') {
        // The character after the backslash may itself be a quote.
        let closing = escape.char_indices().skip(1).find(|(_, c)| *c == '\'');
        return closing.map_or(1, |(at, _)| at + 3);
    }
    let length = content.chars().next().map_or(0, char::len_utf8);
    if content[length..].starts_with('\'') { length + 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        let source = Source::new("src/x.rs", text);
        source.lines.into_iter().map(|line| line.code).collect()
    }

    fn literals(text: &str) -> Vec<(usize, String)> {
        Source::new("src/x.rs", text).literals
    }

    #[test]
    fn comments_are_not_code() {
        let text = "a // b \" c\n/* d /* e */\nf */ g";
        assert_eq!(code(text), ["a ", "", " g"]);
        let source = Source::new("src/x.rs", text);
        assert_eq!(source.lines[0].comment, "// b \" c");
        assert_eq!(source.lines[2].comment, "f */");
    }

    #[test]
    fn literals_are_told_from_code_with_their_lines() {
        let text = "let a = \"x\\\"y\";\nlet b = r#\"one\ntwo \" \"#; c(b\"z\", \"//\")";
        assert_eq!(code(text), ["let a = \"\";", "let b = \"\"", "; c(b\"\", \"\")"]);
        let expected = [(1, "x\\\"y"), (2, "one\ntwo \" "), (3, "z"), (3, "//")];
        assert_eq!(literals(text), expected.map(|(line, content)| (line, content.to_owned())));
    }

    #[test]
    fn quotes_that_open_no_string() {
        let text = "f::<'a>('\"', '\\'', b'\\\\', '\\u{22}', 'é') r#type \"s\"";
        assert_eq!(literals(text), [(1, "s".to_owned())]);
    }

    #[test]
    fn what_never_closes_ends_with_the_file() {
        for text in ["\"abc\\", "r#\"abc", "/* abc", "'", "'\\"] {
            assert_eq!(Source::new("src/x.rs", text).lines.len(), 1, "{text}");
        }
    }

    #[test]
    fn test_modules_are_marked() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { '{' }\n}\nfn c() {}";
        let source = Source::new("src/x.rs", text);
        let marks: Vec<bool> = source.lines.iter().map(|line| line.test).collect();
        assert_eq!(marks, [false, true, true, true, true, false]);

        let text = "#[cfg(test)]\nmod tests;\nfn a() {}";
        let source = Source::new("src/x.rs", text);
        assert!(!source.lines[2].test);

        assert!(Source::new("tests/x.rs", "fn a() {}").lines[0].test);
        assert!(Source::new("src/x/tests.rs", "fn a() {}").lines[0].test);
    }

    #[test]
    fn modules_hold_their_file_and_their_directory() {
        assert!(Source::new("src/store.rs", "").is_in("src/store"));
        assert!(Source::new("src/store/sqlite.rs", "").is_in("src/store"));
        assert!(!Source::new("src/storeroom.rs", "").is_in("src/store"));
    }

    #[test]
    fn names_are_whole_on_their_left() {
        assert!(mentions("std::env::var(x)", "env::var"));
        assert!(!mentions("my_env::var(x)", "env::var"));
    }
}
