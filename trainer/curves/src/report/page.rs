//! The page itself: everything that becomes HTML goes through here, escaped.

use std::fmt::{Display, Write as _};

use super::Drawn;
use crate::text::is_hidden;

/// A page in the making.
pub(super) struct Page {
    body: String,
    title: String,
}

/// How much of a text of a model is shown.
const LONGEST: usize = 6000;

impl Page {
    pub(super) fn new(title: &str) -> Self {
        let mut page = Self { body: String::new(), title: escaped(title) };
        page.push(format_args!("<h1>{}</h1>", escaped(title)));
        page
    }

    fn push(&mut self, html: impl Display) {
        writeln!(self.body, "{html}").expect("writing into a string");
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.push(format_args!("<h2>{}</h2>", escaped(text)));
    }

    pub(super) fn subheading(&mut self, text: &str) {
        self.push(format_args!("<h3>{}</h3>", escaped(text)));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.push(format_args!("<p>{}</p>", escaped(text)));
    }

    pub(super) fn warning(&mut self, text: &str) {
        self.push(format_args!("<p class=\"warning\">{}</p>", escaped(text)));
    }

    /// The statement that all else is about, under its label.
    pub(super) fn verdict(&mut self, label: &str, sentence: &str) {
        let (label, sentence) = (escaped(label), escaped(sentence));
        self.push(format_args!("<div class=\"verdict\"><b>{label}</b><p>{sentence}</p></div>"));
    }

    pub(super) fn list(&mut self, items: &[String]) {
        if !items.is_empty() {
            let items: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
            self.push(format_args!("<ul>{}</ul>", items.join("\n")));
        }
    }

    pub(super) fn code(&mut self, text: &str) {
        self.push(format_args!("<pre>{}</pre>", escaped(text)));
    }

    pub(super) fn figure(&mut self, drawn: &Drawn) {
        let Drawn { words, light, dark, .. } = drawn;
        let words = escaped(words);
        self.push(format_args!(
            "<figure role=\"img\" aria-label=\"{words}\"><div class=\"light\">{light}</div><div class=\"dark\">{dark}</div></figure>"
        ));
    }

    /// A table that scrolls by itself on a narrow screen.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let cell = |text: &String| {
            let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '−' || c == '+');
            let class = match text.chars().count() {
                28.. => " class=\"long\"",
                _ if is_number => " class=\"number\"",
                _ => "",
            };
            format!("<td{class}>{}</td>", escaped(text))
        };
        let head: Vec<String> = header.iter().map(|text| format!("<th>{}</th>", escaped(text))).collect();
        let rows: Vec<String> =
            rows.iter().map(|row| format!("<tr>{}</tr>", row.iter().map(cell).collect::<String>())).collect();
        self.push(format_args!(
            "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
            head.concat(),
            rows.join("\n")
        ));
    }

    /// What is folded until it is asked for.
    pub(super) fn folded(&mut self, summary: &str, write: impl FnOnce(&mut Self)) {
        self.push(format_args!("<details><summary>{}</summary>", escaped(summary)));
        write(self);
        self.push("</details>");
    }

    /// Columns beside each other, each with its heading; below each other on a narrow screen.
    pub(super) fn columns(&mut self, columns: &[(String, Vec<Sample<'_>>)]) {
        self.push("<div class=\"columns\">");
        for (heading, samples) in columns {
            self.push(format_args!("<div><h4>{}</h4>", escaped(heading)));
            samples.iter().for_each(|sample| self.sample(sample));
            self.push("</div>");
        }
        self.push("</div>");
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        let (class, note) = (sample.mark.class(), escaped(&sample.note));
        let text = if sample.text.is_empty() { "<i>(empty)</i>".to_owned() } else { of_model(sample.text) };
        self.push(format_args!("<div class=\"sample {class}\"><p>{note}</p><pre>{text}</pre></div>"));
    }

    /// A named text of a model or of a task.
    pub(super) fn quotation(&mut self, name: &str, text: &str) {
        self.push(format_args!("<p class=\"name\">{}</p><pre>{}</pre>", escaped(name), of_model(text)));
    }

    /// A claim of the checklist.
    pub(super) fn claim(&mut self, number: &str, status: Status, text: &str) {
        let (class, word) = status.words();
        self.push(format_args!(
            "<tr><td>{}</td><td class=\"{class}\">{word}</td><td>{}</td></tr>",
            escaped(number),
            escaped(text)
        ));
    }

    pub(super) fn claims(&mut self, write: impl FnOnce(&mut Self)) {
        self.push("<table class=\"claims\"><tbody>");
        write(self);
        self.push("</tbody></table>");
    }

    pub(super) fn finish(self) -> String {
        let Self { body, title } = self;
        let style = include_str!("style.css");
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             img-src data:; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
        )
    }
}

/// A completion with what became of it.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    pub mark: Mark,
    pub note: String,
    pub text: &'a str,
}

/// Whether a completion is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mark {
    Right,
    Wrong,
    Unjudged,
}

impl Mark {
    pub(super) fn of(score: Option<f64>) -> Self {
        match score {
            Some(score) if score >= 1.0 => Self::Right,
            Some(_) => Self::Wrong,
            None => Self::Unjudged,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Unjudged => "unjudged",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Right => "✓ right",
            Self::Wrong => "✗ wrong",
            Self::Unjudged => "? unjudged",
        }
    }
}

/// What the log says of a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Status {
    Holds,
    Fails,
    Unanswered,
}

impl Status {
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Holds => ("holds", "✓ holds"),
            Self::Fails => ("fails", "✗ does not hold"),
            Self::Unanswered => ("open", "– not answered"),
        }
    }
}

/// Replaces what has a meaning in HTML, and writes out what is not seen.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_hidden(c) => write!(out, "{}", c.escape_unicode()).expect("writing into a string"),
            c => out.push(c),
        }
    }
    out
}

/// As [`escaped`], with what was hidden marked, and cut where it is very long.
fn of_model(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for c in text.chars().take(LONGEST) {
        if is_hidden(c) {
            write!(out, "<b class=\"hidden\">{}</b>", c.escape_unicode()).expect("writing into a string");
        } else {
            out.push_str(&escaped(c.encode_utf8(&mut buffer)));
        }
    }
    let left = text.chars().count().saturating_sub(LONGEST);
    if left > 0 {
        write!(out, "<i>… {left} more characters</i>").expect("writing into a string");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_models_cannot_leave_its_element_and_hides_nothing() {
        assert_eq!(
            of_model("</pre><script>alert('1')</script>\u{202e}\u{1b}[2J"),
            "&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;<b class=\"hidden\">\\u{202e}</b>\
             <b class=\"hidden\">\\u{1b}</b>[2J"
        );
        assert!(of_model(&"x".repeat(7000)).ends_with("x<i>… 1000 more characters</i>"));
    }

    #[test]
    fn a_page_loads_nothing() {
        let mut page = Page::new("<T>");
        page.table(&["a"], &[vec!["1.5".to_owned()], vec!["<b>".to_owned()]]);
        let html = page.finish();
        assert!(html.contains("<title>&lt;T&gt;</title>") && html.contains("default-src 'none'"));
        assert!(html.contains("<td class=\"number\">1.5</td>") && html.contains("<td>&lt;b&gt;</td>"));
        assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"));
    }
}
