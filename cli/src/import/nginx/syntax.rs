//! The language of nginx.conf: directives, arguments, blocks.

use topology::diagnostic::{Diagnostic, FileId, Place};

use super::super::wrong;

/// A directive with its arguments, and its block where it has one.
#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) block: Vec<Directive>,
}

/// Blocks inside each other, and directives of one file, at most.
const MAX_DEPTH: usize = 32;
const MAX_DIRECTIVES: usize = 200_000;

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// The directives of a file.
///
/// # Errors
/// A block or quote that is not closed, with its place.
pub(super) fn parse(text: &str, file: FileId) -> Result<Vec<Directive>, Diagnostic> {
    let mut lexer = Lexer { rest: text.chars().peekable(), file, line: 1, column: 1 };
    // What is open: the directive that opened it, and its block so far.
    let mut open: Vec<(Option<Directive>, Vec<Directive>)> = vec![(None, Vec::new())];
    let mut words: Vec<(Place, String)> = Vec::new();
    let mut count = 0;
    while let Some((place, token)) = lexer.next()? {
        count += 1;
        if count > MAX_DIRECTIVES {
            return Err(wrong(
                place,
                "the file is too long for an nginx.conf",
                "give the part with `upstream` and `server`",
            ));
        }
        let directive = |words: &mut Vec<(Place, String)>| {
            let mut all = words.drain(..);
            let (place, name) = all.next()?;
            Some(Directive { place, name, arguments: all.map(|(_, word)| word).collect(), block: Vec::new() })
        };
        match token {
            Token::Word(word) => words.push((place, word)),
            Token::End => {
                if let (Some(one), Some((_, block))) = (directive(&mut words), open.last_mut()) {
                    block.push(one);
                }
            }
            Token::Open => {
                let Some(one) = directive(&mut words) else {
                    return Err(wrong(
                        place,
                        "a `{` without a name in front of it",
                        "delete it, or write what it opens",
                    ));
                };
                if open.len() > MAX_DEPTH {
                    return Err(wrong(
                        place,
                        format!("blocks lie more than {MAX_DEPTH} deep inside each other"),
                        "no nginx takes that",
                    ));
                }
                open.push((Some(one), Vec::new()));
            }
            Token::Close => {
                let closed = if open.len() > 1 { open.pop() } else { None };
                let Some((Some(mut one), block)) = closed else {
                    return Err(wrong(place, "a `}` that closes nothing", "delete it"));
                };
                one.block = block;
                words.clear();
                if let Some((_, block)) = open.last_mut() {
                    block.push(one);
                }
            }
        }
    }
    if let Some((Some(one), _)) = open.last() {
        return Err(wrong(
            one.place,
            format!("the block of `{}` is not closed", one.name),
            "close it with `}`",
        ));
    }
    if let Some((place, word)) = words.first() {
        return Err(wrong(*place, format!("`{word}` is not ended"), "end it with `;`"));
    }
    Ok(open.pop().map(|(_, block)| block).unwrap_or_default())
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    file: FileId,
    line: u32,
    column: u32,
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }

    fn next(&mut self) -> Result<Option<(Place, Token)>, Diagnostic> {
        loop {
            match self.rest.peek() {
                Some('#') => while self.take().is_some_and(|c| c != '\n') {},
                Some(c) if c.is_whitespace() || *c == '\u{feff}' => {
                    self.take();
                }
                _ => break,
            }
        }
        let place = Place { file: self.file, line: self.line, column: self.column };
        let Some(first) = self.take() else { return Ok(None) };
        let token = match first {
            '{' => Token::Open,
            '}' => Token::Close,
            ';' => Token::End,
            '"' | '\'' => Token::Word(self.quoted(first, place)?),
            first => Token::Word(self.word(first)),
        };
        Ok(Some((place, token)))
    }

    fn quoted(&mut self, quote: char, place: Place) -> Result<String, Diagnostic> {
        let mut out = String::new();
        while let Some(c) = self.take() {
            match c {
                '\\' => out.extend(self.take()),
                c if c == quote => return Ok(out),
                c => out.push(c),
            }
        }
        Err(wrong(place, "this quote is not closed", format!("close it with {quote}")))
    }

    fn word(&mut self, first: char) -> String {
        let mut out = String::from(first);
        while let Some(c) = self.rest.peek().copied() {
            // `${name}` is a variable, not a block.
            let variable = c == '{' && out.ends_with('$');
            if c.is_whitespace() || matches!(c, ';' | '{' | '}') && !variable {
                break;
            }
            self.take();
            out.push(c);
            if variable {
                while let Some(c) = self.take() {
                    out.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
        }
        out
    }
}
