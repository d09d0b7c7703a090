//! Answers in words, and the letters of a choice.

use super::names;

/// Removes what stands around an answer: blanks, mathematics delimiters, outer braces, a final full stop.
pub(super) fn undress(text: &str) -> &str {
    let mut text = text;
    loop {
        let before = text;
        text = text.trim();
        // Three dots go on, one ends the sentence.
        if !text.ends_with("...") {
            text = text.trim_end_matches(['.', ',', ';', ':']);
        }
        text = without_blanks_behind(without_lead(text));
        for (open, close) in FRAMES {
            if let Some(inner) = text.strip_prefix(open).and_then(|inner| inner.strip_suffix(close))
                && !inner.contains(open)
            {
                text = inner;
            }
        }
        text = without_braces(text.trim_end_matches("\\\\"));
        if text.len() == before.len() {
            return text;
        }
    }
}

/// What may stand on both sides of an answer and says nothing.
const FRAMES: [(&str, &str); 8] =
    [("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("\"", "\""), ("'", "'")];

/// Removes a sign that joins an answer to what came before: `= 7`, `\therefore 7`.
fn without_lead(text: &str) -> &str {
    const LEADS: [&str; 7] =
        ["\\therefore", "\\Rightarrow", "\\implies", "\\Longrightarrow", "\\approx", "\\simeq", "="];
    let lead = LEADS.iter().find_map(|lead| text.strip_prefix(lead));
    let is_whole = |rest: &&str| text.starts_with('=') || !rest.starts_with(|c: char| c.is_ascii_alphabetic());
    lead.filter(is_whole).map_or(text, str::trim_start)
}

/// Removes blanks that are commands, `\,` and the like, from the end.
fn without_blanks_behind(text: &str) -> &str {
    const BLANKS: [&str; 8] = ["\\,", "\\;", "\\:", "\\!", "\\ ", "\\qquad", "\\quad", "~"];
    let blank = BLANKS.iter().find_map(|blank| text.strip_suffix(blank));
    // Behind a second backslash, `\\,` is a line break and a comma.
    match blank.filter(|rest| !rest.ends_with('\\')) {
        Some(rest) => rest.trim_end(),
        // What trimming has left of `\ `.
        None => text.strip_suffix('\\').filter(|rest| !rest.ends_with('\\')).unwrap_or(text),
    }
}

/// Takes one of two backslashes before commands, where they come from text that was escaped twice.
pub(super) fn unescaped(text: &str) -> std::borrow::Cow<'_, str> {
    const COMMANDS: [&str; 24] = [
        "frac", "dfrac", "tfrac", "sqrt", "left", "right", "text", "pi", "le", "leq", "ge", "geq", "in", "cup",
        "infty", "pm", "cdot", "times", "boxed", "mathrm", "circ", "sin", "cos", "log",
    ];
    let is_escaped = |at: usize| {
        let rest = text[at..].trim_start_matches('\\');
        let name = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
        text[at..].len() - rest.len() == 2 && COMMANDS.contains(&name)
    };
    match text.find("\\\\") {
        Some(at) if is_escaped(at) && !text.contains("\\begin") => text.replace("\\\\", "\\").into(),
        _ => text.into(),
    }
}

/// Removes braces around the whole, however many, unless a comma makes them a set.
fn without_braces(text: &str) -> &str {
    let n_open = text.bytes().take_while(|&b| b == b'{').count();
    let n_close = text.bytes().rev().take_while(|&b| b == b'}').count();
    if n_open == 0 || n_close == 0 || text.ends_with("\\}") {
        return text;
    }
    let inner = &text.as_bytes()[n_open..text.len().saturating_sub(n_close).max(n_open)];
    let mut depth = n_open as i64;
    let mut lowest = depth;
    let mut is_escaped = false;
    for &byte in inner {
        match byte {
            b'{' if !is_escaped => depth += 1,
            b'}' if !is_escaped => depth -= 1,
            b',' | b';' => return text,
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
        lowest = lowest.min(depth);
    }
    let n = n_open.min(n_close).min(lowest.max(0) as usize);
    if depth != n_close as i64 { text } else { &text[n..text.len() - n] }
}

/// The words of an answer that is nothing else, without the commands that set them.
pub(super) fn words(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let name: String = rest[at + 1..].chars().take_while(char::is_ascii_alphabetic).collect();
        rest = &rest[at + 1 + name.len()..];
        if name.is_empty() {
            // A blank such as `\ ` or `\,`.
            let blank = rest.chars().next().filter(|c| matches!(c, ' ' | ',' | ';' | '!' | ':'))?;
            rest = &rest[blank.len_utf8()..];
            plain.push(' ');
        } else if matches!(name.as_str(), "quad" | "qquad") {
            plain.push(' ');
        } else if !names::is_text(&name) && !names::is_frame(&name) {
            return None;
        }
    }
    plain.push_str(rest);
    let plain: String = plain.chars().filter(|c| !matches!(c, '{' | '}' | '$' | '"' | '*')).collect();
    let is_word_sign = |c: char| {
        c.is_alphabetic()
            || c.is_whitespace()
            || matches!(c, '.' | ',' | '-' | '\'' | '!' | '?' | '(' | ')' | ':' | ';' | '/')
    };
    plain.chars().all(is_word_sign).then(|| plain.trim().to_owned())
}

/// Whether words are prose rather than names of variables and functions.
pub(super) fn is_prose(words: &str, is_set_as_text: bool) -> bool {
    let parts: Vec<&str> = words.split(|c: char| !c.is_alphabetic()).filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "or" | "and")) || words.contains([',', ';']) {
        return parts.len() > 6;
    }
    let is_known = |part: &str| {
        names::function(part).is_some()
            || names::reciprocal(part).is_some()
            || names::combining(part).is_some()
            || names::constant(part).is_some()
            || matches!(part, "log" | "sqrt")
    };
    if parts.iter().any(|part| is_known(part)) {
        return parts.len() > 3;
    }
    if is_set_as_text {
        return parts.iter().any(|part| part.chars().count() > 1);
    }
    parts.iter().any(|part| part.chars().count() >= 4 || is_short_word(part))
        || parts.iter().filter(|part| part.chars().count() >= 2).count() >= 2
}

fn is_short_word(part: &str) -> bool {
    let lower = part.to_lowercase();
    let is_name = part.chars().count() == 3
        && part.starts_with(char::is_uppercase)
        && part.chars().skip(1).all(char::is_lowercase);
    is_name
        || matches!(
            lower.as_str(),
            "yes"
                | "no"
                | "odd"
                | "one"
                | "two"
                | "six"
                | "ten"
                | "red"
                | "all"
                | "any"
                | "man"
                | "men"
                | "boy"
                | "dog"
                | "cat"
                | "mon"
        )
}

/// Words in one spelling: small letters and digits alone.
pub(super) fn folded(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The letter of a choice and what it stands for: `(B) 12`, `\textbf{(B)}\ 12`, `C. Cecile`.
pub(super) fn choice(text: &str) -> Option<(char, &str)> {
    let mut rest = text;
    let mut n_braces = 0;
    while let Some(inner) = ["\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{", "\\textrm{", "\\bf{"]
        .iter()
        .find_map(|open| rest.strip_prefix(open))
    {
        rest = inner.trim_start();
        n_braces += 1;
    }
    let is_bracketed = rest.starts_with('(');
    let letter = rest.trim_start_matches('(').chars().next().filter(|c| ('A'..='J').contains(c))?;
    rest = &rest.trim_start_matches('(')[1..];
    let mut mark = false;
    if let Some(inner) = rest.strip_prefix([')', '.', ':']) {
        mark = !is_bracketed || rest.starts_with(')');
        rest = inner;
    }
    for _ in 0..n_braces {
        rest = rest.trim_start().strip_prefix('}').unwrap_or(rest);
    }
    let blanks = rest
        .trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '~' | '}'))
        .trim_start_matches("\\ ")
        .trim_start_matches("\\quad");
    let is_apart = blanks.len() < rest.len() || n_braces > 0;
    let tail = blanks.trim();
    // `\text{C) 12}`: the text goes on behind the letter.
    let is_open = n_braces > 0 && tail.matches('}').count() > tail.matches('{').count();
    let tail = if is_open { tail.strip_suffix('}').unwrap_or(tail).trim_end() } else { tail };
    // `C Cecile` has no mark, and so needs a name behind it.
    let is_name =
        tail.chars().next().is_some_and(char::is_uppercase) && tail.chars().nth(1).is_some_and(char::is_lowercase);
    let is_formula = tail.starts_with(['=', '+', '-', '*', '/', '^', '_', '(', ',', '\''])
        || tail.starts_with("\\cdot")
        || tail.starts_with("\\times")
        || tail.starts_with("\\cup");
    let is_joined =
        ["and", "or", "\\text{or", "\\text{ or", "\\text{and", "\\text{ and"].iter().any(|join| tail.starts_with(join));
    let is_choice = is_apart && !tail.is_empty() && !is_formula && !is_joined && (mark || is_name);
    is_choice.then_some((letter, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_is_removed() {
        for text in ["7", " $7$. ", "\\(7\\)", "{{7}}", "$$ 7 $$", "= 7", "**7**", "\\[ 7. \\]"] {
            assert_eq!(undress(text), "7", "{text}");
        }
        assert_eq!(undress("{1}{2}"), "{1}{2}");
        assert_eq!(undress("{1, 2}"), "{1, 2}");
        assert_eq!(undress("\\{7\\}"), "\\{7\\}");
        assert_eq!(undress(&format!("{}7{}", "{".repeat(100_000), "}".repeat(100_000))), "7");
    }

    #[test]
    fn choices_have_a_letter_and_a_meaning() {
        assert_eq!(choice("(B) 12"), Some(('B', "12")));
        assert_eq!(choice("\\textbf{(B)}\\ 12"), Some(('B', "12")));
        assert_eq!(choice("\\textbf{(B) }12"), Some(('B', "12")));
        assert_eq!(choice("C. Clara"), Some(('C', "Clara")));
        assert_eq!(choice("C Clara"), Some(('C', "Clara")));
        for text in ["(A)", "A or B", "A = 5", "(A)(B)", "AB", "A, B", "(A + 1) 5"] {
            assert_eq!(choice(text), None, "{text}");
        }
    }

    #[test]
    fn prose_is_told_from_formulas() {
        for (text, expected) in [("Evelyn", true), ("no solution", true), ("odd", true), ("xy", false), ("abc", false)]
        {
            assert_eq!(is_prose(&words(text).unwrap(), false), expected, "{text}");
        }
        assert_eq!(words("\\text{The  midpoints}"), Some("The  midpoints".into()));
        assert_eq!(words("2x"), None);
        assert_eq!(folded("The (B)-side!"), "thebside");
    }
}
