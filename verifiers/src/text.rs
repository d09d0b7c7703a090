//! Text that nobody vouches for, made fit to be looked at.

/// Makes model text safe for a terminal: control and direction characters become visible escapes.
///
/// Line ends and tabs stay.
///
/// # Examples
///
/// ```
/// assert_eq!(rlvr_verifiers::text::shown("a\u{1b}[2J\nb\u{202e}c\r"), "a\\u{1b}[2J\nb\\u{202e}c\\u{d}");
/// ```
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\n' && c != '\t') || is_direction {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
