//! Tokens of LaTeX and plain formulas, read on demand.

use super::limits::{Fault, Reading};

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    End,
    /// The first of some digits, or a point before digits; the numeral is read by [`super::numeral`].
    Digit,
    /// Letters in a row, of any alphabet.
    Word(&'a str),
    /// A LaTeX command without its backslash, or a sign that stands for one.
    Command(&'a str),
    /// Any other character.
    Sign(u8),
}

/// What stood before a bracket or bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    None,
    Left,
    Right,
}

/// A position in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// A token with its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexeme<'a> {
    pub(super) token: Token<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) side: Side,
    /// Whether blanks stand before it.
    pub(super) is_spaced: bool,
}

/// Commands that change the look only.
const LOOKS: [&str; 34] = [
    "displaystyle",
    "textstyle",
    "scriptstyle",
    "limits",
    "nolimits",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "Biggl",
    "Biggr",
    "middle",
    "mathstrut",
    "nonumber",
    "thinspace",
    "medspace",
    "negthinspace",
    "allowbreak",
    "enspace",
    "space",
    "centering",
    "large",
    "Large",
    "normalsize",
    "small",
    "null",
    "strut",
    "hfill",
];

impl<'a> Lexer<'a> {
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The token at the position, and where it ends.
    pub(super) fn next(self) -> Lexeme<'a> {
        let mut at = self.at;
        let (mut side, mut is_spaced) = (Side::None, false);
        loop {
            match self.byte(at) {
                b' ' | b'\t' | b'\n' | b'\r' | b'~' | 0x0b | 0x0c => {
                    at += 1;
                    is_spaced = true;
                }
                b'$' => at += 1,
                b'\\' => match self.blank_command(at, &mut side, &mut is_spaced) {
                    Some(end) => at = end,
                    None => break,
                },
                _ => break,
            }
        }
        let (token, end) = self.token(at);
        Lexeme { token, start: at, end, side, is_spaced }
    }

    /// The end of a command that means nothing.
    fn blank_command(&self, at: usize, side: &mut Side, is_spaced: &mut bool) -> Option<usize> {
        match self.byte(at + 1) {
            b',' | b'!' | b';' | b':' | b'/' | b' ' | b'>' | b'\n' => {
                *is_spaced |= self.byte(at + 1) != b'!';
                return Some(at + 2);
            }
            b'(' | b')' | b'[' | b']' | b'-' => return Some(at + 2),
            _ => {}
        }
        let end = self.command_end(at + 1);
        match &self.text[at + 1..end] {
            "left" | "mleft" => self.null_delimiter(end, side, Side::Left),
            "right" | "mright" => self.null_delimiter(end, side, Side::Right),
            "hspace" | "vspace" | "phantom" | "label" | "tag" => self.group_end(end),
            name if LOOKS.contains(&name) => Some(end),
            _ => None,
        }
    }

    fn null_delimiter(&self, end: usize, side: &mut Side, new: Side) -> Option<usize> {
        let after = self.skip_blanks(end);
        if self.byte(after) == b'.' {
            return Some(after + 1);
        }
        *side = new;
        Some(end)
    }

    pub(super) fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\t' | b'\r' | b'~') {
            at += 1;
        }
        at
    }

    fn command_end(&self, mut at: usize) -> usize {
        if !self.byte(at).is_ascii_alphabetic() {
            return at + self.text[at..].chars().next().map_or(0, char::len_utf8);
        }
        while self.byte(at).is_ascii_alphabetic() {
            at += 1;
        }
        at
    }

    fn token(&self, at: usize) -> (Token<'a>, usize) {
        let byte = self.byte(at);
        let two = |command, length| (Token::Command(command), at + length);
        match byte {
            0 => (Token::End, self.text.len().max(at)),
            b'0'..=b'9' => (Token::Digit, at + 1),
            b'.' if self.byte(at + 1).is_ascii_digit() => (Token::Digit, at + 1),
            b'.' if self.text[at..].starts_with("...") => two("ldots", 3),
            b'\\' => {
                let end = self.command_end(at + 1);
                (Token::Command(&self.text[at + 1..end]), end)
            }
            b'<' if self.byte(at + 1) == b'=' => two("le", 2),
            b'>' if self.byte(at + 1) == b'=' => two("ge", 2),
            b'=' if self.byte(at + 1) == b'<' => two("le", 2),
            b'=' if self.byte(at + 1) == b'>' => two("Rightarrow", 2),
            b'=' if self.byte(at + 1) == b'=' => (Token::Sign(b'='), at + 2),
            b'-' if self.byte(at + 1) == b'>' => two("to", 2),
            b'*' if self.byte(at + 1) == b'*' => (Token::Sign(b'^'), at + 2),
            b'!' if self.byte(at + 1) == b'=' && !self.follows_value(at) => two("ne", 2),
            _ if byte.is_ascii_alphabetic() || byte >= 0x80 => {
                let mut end = at;
                for c in self.text[at..].chars().take_while(|c| c.is_alphabetic()) {
                    end += c.len_utf8();
                }
                if end == at {
                    // A character that is neither letter nor sign of mathematics.
                    let length = self.text[at..].chars().next().map_or(1, char::len_utf8);
                    return (Token::Command("unknown"), at + length);
                }
                (Token::Word(&self.text[at..end]), end)
            }
            _ => (Token::Sign(byte), at + 1),
        }
    }

    /// Whether a digit or bracket ends right before the position, so that `!` is a factorial.
    fn follows_value(&self, at: usize) -> bool {
        at > 0 && matches!(self.byte(at - 1), b'0'..=b'9' | b')')
    }

    /// The end of the group in braces that begins at the position, or nothing if there is none.
    pub(super) fn group_end(&self, at: usize) -> Option<usize> {
        let start = self.skip_blanks(at);
        if self.byte(start) != b'{' {
            return None;
        }
        let mut depth = 0_usize;
        let mut at = start;
        loop {
            match self.byte(at) {
                b'\\' => at += 1,
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                0 if at >= self.text.len() => return None,
                _ => {}
            }
            at += 1;
        }
    }

    /// The text of the group in braces at the position, and its end.
    pub(super) fn group(&self, at: usize) -> Reading<(&'a str, usize)> {
        let end = self.group_end(at).ok_or(Fault::Unreadable("braces that do not match"))?;
        let start = self.skip_blanks(at) + 1;
        self.text.get(start..end - 1).map(|text| (text, end)).ok_or(Fault::Unreadable("braces that do not match"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[Token<'_>]) {
        let mut lexer = Lexer { text, at: 0 };
        let mut tokens = Vec::new();
        loop {
            let lexeme = lexer.next();
            if lexeme.token == Token::End {
                break;
            }
            tokens.push(lexeme.token);
            lexer.at = lexeme.end;
        }
        assert_eq!(tokens, expected, "{text}");
    }

    #[test]
    fn looks_are_dropped() {
        use Token::{Command, Digit, Sign, Word};
        check(r"\left( x\,\right.y", &[Sign(b'('), Word("x"), Word("y")]);
        check(r"\frac{1}\pi", &[Command("frac"), Sign(b'{'), Digit, Sign(b'}'), Command("pi")]);
        check(r"$a<=b \[ != c$", &[Word("a"), Command("le"), Word("b"), Command("ne"), Word("c")]);
        check("3!=6", &[Digit, Sign(b'!'), Sign(b'='), Digit]);
        check(r"\{\}\\&é", &[Command("{"), Command("}"), Command("\\"), Sign(b'&'), Word("é")]);
        check("\\", &[Command("")]);
        check("☃", &[Command("unknown")]);
    }

    #[test]
    fn groups_end_at_their_brace() {
        let lexer = Lexer { text: r" {a{b}\}} c", at: 0 };
        assert_eq!(lexer.group(0), Ok((r"a{b}\}", 9)));
        assert!(Lexer { text: "{a", at: 0 }.group(0).is_err());
        assert!(Lexer { text: "{a\\", at: 0 }.group(0).is_err());
    }
}
