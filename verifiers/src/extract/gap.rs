//! What stands between two answers that may be one list.

/// A gap of nothing but separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap<'a> {
    /// How the two sides are joined.
    pub(super) joint: Joint,
    /// The name of what follows, with its equals sign: `y_2 =`.
    pub(super) label: Option<&'a str>,
}

/// How two answers are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    /// Both belong to the answer.
    And,
    /// Only one of them does, and it is left open which.
    Or,
}

/// Marks that separate and mean nothing else, the longer ones first.
const MARKS: [&str; 27] = [
    "\\qquad", "\\quad", "\\land", "\\wedge", "\\,", "\\;", "\\:", "\\!", "\\ ", "\\\\", "\\(", "\\)", "\\[", "\\]",
    "$$", "$", ",", ";", "、", "，", "；", "&", "~", "**", "\n-", "\n*", "\n•",
];

/// Commands that set text among formulas.
const TEXT_COMMANDS: [&str; 6] = ["\\text{", "\\textbf{", "\\textrm{", "\\mbox{", "\\mathrm{", "\\hbox{"];

impl<'a> Gap<'a> {
    /// Reads a gap, or none if it says more than that a list goes on.
    pub(super) fn read(gap: &'a str) -> Option<Self> {
        let mut joint = Joint::And;
        let mut rest = gap;
        loop {
            if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
                rest = &rest[mark.len()..];
            } else if rest.starts_with(char::is_whitespace) {
                let trimmed = rest.trim_start();
                // The line break belongs to a bullet that follows it.
                let bullet = trimmed.starts_with(['-', '*', '•']) && rest[..rest.len() - trimmed.len()].contains('\n');
                rest = if bullet { trimmed.trim_start_matches(['-', '*', '•']) } else { trimmed };
            } else if let Some((word, tail)) = text_command(rest).or_else(|| leading_word(rest)) {
                joint = if is_or(word) { Joint::Or } else { is_and(word).then_some(joint)? };
                rest = tail;
            } else {
                break;
            }
        }
        let label = if rest.is_empty() { None } else { Some(label(rest)?) };
        Some(Self { joint, label })
    }

    /// Returns the label at the end of a text: of "hence $x = " the `x = `.
    pub(super) fn label_before(text: &'a str) -> Option<&'a str> {
        const LONGEST: usize = 24;
        let start = text.len().saturating_sub(LONGEST);
        let start = (start..=text.len()).find(|&i| text.is_char_boundary(i))?;
        let tail = &text[start..];
        let equals = tail.trim_end().strip_suffix('=')?.trim_end();
        let name = equals.rfind(|c: char| !(c.is_ascii_alphanumeric() || "_{}\\".contains(c))).map_or(0, |i| i + 1);
        // Cut at a character boundary: the character that ended the name may be a wide one.
        let name = (name..=equals.len()).find(|&i| equals.is_char_boundary(i))?;
        label(&tail[name..])
    }
}

/// Accepts `y =`, `y_2 =`, `y_{12} =` and `\alpha =`.
fn label(text: &str) -> Option<&str> {
    let name = text.trim_end().strip_suffix('=')?.trim_end();
    let (head, subscript) = name.split_once('_').unwrap_or((name, "1"));
    let head = head.strip_prefix('\\').unwrap_or(head);
    let subscript = subscript.strip_prefix('{').and_then(|s| s.strip_suffix('}')).unwrap_or(subscript);
    let is_word = |s: &str| (1..=12).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_word(head) && head.as_bytes()[0].is_ascii_alphabetic() && is_word(subscript)).then_some(text)
}

/// Splits `\text{ and }` off.
fn text_command(rest: &str) -> Option<(&str, &str)> {
    let argument = TEXT_COMMANDS.iter().find_map(|command| rest.strip_prefix(command))?;
    argument.split_once('}')
}

/// Splits a word off, or the sign of a disjunction.
fn leading_word(rest: &str) -> Option<(&str, &str)> {
    let rest_of = |word: &str| rest.strip_prefix(word).filter(|tail| !tail.starts_with(|c: char| c.is_alphabetic()));
    let words = ["and", "And", "AND", "or", "Or", "OR", "or else", "\\lor", "\\vee", "\\or", "\\and"];
    words.iter().find_map(|word| rest_of(word).map(|tail| (&rest[..word.len()], tail)))
}

fn is_or(word: &str) -> bool {
    ["or", "\\lor", "\\vee", "\\or", "or else"].contains(&word.trim().to_ascii_lowercase().as_str())
}

fn is_and(word: &str) -> bool {
    ["and", "\\and", ",", ";", ""].contains(&word.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(gap: &str, expected: Option<(Joint, Option<&str>)>) {
        assert_eq!(Gap::read(gap).map(|gap| (gap.joint, gap.label)), expected, "{gap:?}");
    }

    #[test]
    fn gaps() {
        check("", Some((Joint::And, None)));
        check("$, $", Some((Joint::And, None)));
        check(r"\) and \(", Some((Joint::And, None)));
        check(r" \quad \text{or} \quad ", Some((Joint::Or, None)));
        check(" or ", Some((Joint::Or, None)));
        check(", y_2 = ", Some((Joint::And, Some("y_2 = "))));
        check("\n - ", Some((Joint::And, None)));
        check(" oranges ", None);
        check(", but also ", None);
        check(r"\text{ no, }", None);
        check(" = ", None);
        check(" - ", None);
    }

    #[test]
    fn labels_before() {
        assert_eq!(Gap::label_before("hence $x = "), Some("x = "));
        assert_eq!(Gap::label_before("hence é$\\alpha_{1}="), Some("\\alpha_{1}="));
        assert_eq!(Gap::label_before("2 + 3 = "), None);
        assert_eq!(Gap::label_before("="), None);
    }
}
