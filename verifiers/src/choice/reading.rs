//! Which option a text commits itself to.

use std::sync::LazyLock;

use regex::Regex;

use super::Choices;

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// This option.
    Option(usize),
    /// Anything but this option.
    Not(usize),
    /// Several options, or one contradicting itself.
    Hedge,
    /// Something in place of an answer that is no option.
    Unreadable,
    /// Nothing.
    Nothing,
}

/// Reads the last commitment of a text.
pub(super) fn read(text: &str, choices: &Choices) -> Reading {
    let text = folded(text);
    let boxes = boxes(&text);
    let boxed: Vec<Reading> = boxes.iter().map(|(_, content)| of_whole(content, choices)).collect();
    let mut statements: Vec<(usize, Reading)> = boxes.iter().map(|(at, _)| *at).zip(boxed.iter().copied()).collect();
    statements.extend(stated(&text, choices));
    statements.extend(last_line(&text, choices));
    statements.sort_by_key(|(at, _)| *at);
    let mut reading = Reading::Nothing;
    for (_, next) in statements {
        reading = match next {
            Reading::Not(i) if reading == Reading::Option(i) => Reading::Nothing,
            Reading::Not(_) | Reading::Nothing => reading,
            stated => stated,
        };
    }
    let contradicted = boxed.iter().any(|one| *one != boxed[0]) && boxed.last() == Some(&reading);
    match reading {
        _ if contradicted => Reading::Hedge,
        Reading::Nothing => first_line(&text, choices),
        stated => stated,
    }
}

/// Reads the last capital letter that names an option and is no word, wherever it stands.
pub(super) fn read_anywhere(text: &str, choices: &Choices) -> Reading {
    let text = folded(text);
    let named = TOKEN.find_iter(&text).filter_map(|token| {
        let label = label_of(token.as_str(), choices)?;
        let rest = &text[token.end()..];
        let word = token.as_str().chars().all(|c| c.is_lowercase());
        (!word && stands_alone(&text[..token.start()], rest) && !is_article(token.as_str(), rest)).then_some(label)
    });
    named.last().map_or(Reading::Nothing, Reading::Option)
}

/// Puts an option's text into the form in which texts are compared.
pub(super) fn plain(text: &str) -> String {
    let text = folded(text).to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_matches(|c: char| "\"'“”‘’.,;:!?()[]{}<> ".contains(c)).to_owned()
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a valid expression"));
    };
}

pattern!(TOKEN, "[A-Za-z0-9]+");
// "The correct answer to the question is", "Answer:", and the same in a few languages.
pattern!(
    ANSWER,
    r"(?ix)
    \b(?:answer|option|choice|réponse|respuesta|resposta|risposta|antwort|antwoord|ответ)\b
    [^\n.:?!=]{0,60}?
    (?:\b(?:is|be|are|est|es|é|è|ist)\b|[:=]|[-–—]{1,2}|→)\s*
    |<answer>\s*|\#\#\#\#\s*
    |(?:答案|选项|選項|正解|정답|答え)(?:应该|應該)?(?:是|为|為|は|은|는|:)*\s*
    |(?:الإجابة|الجواب)(?:\s+الصحيحة)?\s*(?:هي|هو|:)\s*|(?:उत्तर|जवाब)\s*:?\s*
    |(?:应选|應選|选择|選擇|选|選)\s*
    |\b(?:choose|chose|select|pick|go\s+with)\b\s*"
);
// The forms above that announce an answer so plainly that something else in its place is a failed one.
pattern!(LABEL, r"(?i)^(?:answer\s*[:=]|<answer>|####)");
// "B is correct", "option B is not the right answer".
pattern!(
    PRAISE,
    r"(?x)
    \b([A-Za-z0-9]+)[).:]*\s+(?:is|are)(n't|\s+not)?\s+(?:the\s+)?(?:only\s+|most\s+|clearly\s+)?
    (?:correct|right|best|true\s+answer|answer)\b
    |([A-Z])\s*(?:选项|選項|项)?\s*(不)?是?(?:正确|正確)"
);
pattern!(
    FILLER,
    r"(?i)^(?:option|choice|letter|answer|either|clearly|definitely|therefore|most\s+likely|likely|the)\b"
);
pattern!(NEGATION, r"(?i)^(?:not\b|isn't\b|never\b|neither\b|nicht\b|pas\b|不是|并非|不选|不)");
pattern!(TURN, r"(?i)^[\s,;.()]*(?:but|rather|instead|it\s+is|而是|sondern|mais)\b?\s*(?:rather|instead)?\s*");
pattern!(
    JOINT,
    r"(?i)^[\s).\]]*(?:,|/|&|\+|、|\bor\b|\band\b|\bou\b|\boder\b|\by\b|\bo\b|或|和|与|及)+\s*(?:or\b|and\b)?\s*"
);
pattern!(
    REASON,
    r"(?i)^\s+(?:because|since|as|for|which|is|and|or|but|not|due|based|given|according|so|therefore|here|then|where|instead|rather|by)\b"
);

/// Marks that surround an answer and are no part of it.
const SURROUNDING: [char; 13] = ['(', '[', '{', '<', '"', '\'', '“', '‘', '「', '《', ' ', ':', '\t'];

/// Full-width characters become plain ones; marks of emphasis and commands that set a font disappear.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{ff01}'..='\u{ff5e}' => folded.push(char::from_u32(c as u32 - 0xfee0).unwrap_or(c)),
            '。' => folded.push('.'),
            '’' => folded.push('\''),
            '*' | '$' | '`' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {}
            c => folded.push(c),
        }
    }
    static FONT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|bf|rm|left|right)\b").expect("valid")
    });
    FONT.replace_all(&folded, "").into_owned()
}

/// Returns the contents of boxes whose braces balance, with where they begin; of nested ones, the inner.
fn boxes(text: &str) -> Vec<(usize, String)> {
    let bytes = text.as_bytes();
    let mut open = vec![];
    let mut found: Vec<(usize, usize)> = vec![];
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => open.push(i),
            b'}' => {
                let Some(start) = open.pop() else { continue };
                let is_box = bytes[..start].ends_with(b"\\boxed") || bytes[..start].ends_with(b"\\fbox");
                if is_box && found.last().is_none_or(|(inner, _)| *inner < start) {
                    found.push((start, i));
                }
            }
            _ => {}
        }
    }
    found.into_iter().map(|(start, end)| (start, text[start + 1..end].replace(['{', '}'], " "))).collect()
}

/// So many of the last announcements are read.
const MOST_STATEMENTS: usize = 100;

/// Reads the phrases that announce an answer.
fn stated(text: &str, choices: &Choices) -> Vec<(usize, Reading)> {
    let mut statements = vec![];
    let announced: Vec<_> = ANSWER.find_iter(text).collect();
    for found in &announced[announced.len().saturating_sub(MOST_STATEMENTS)..] {
        let line = line_of(&text[found.end()..]);
        let reading = match of_leading(line, choices) {
            Reading::Nothing if LABEL.is_match(found.as_str()) && !line.trim().is_empty() => Reading::Unreadable,
            reading => reading,
        };
        // A box behind the phrase is read as a box.
        if !line.trim_start().starts_with('\\') {
            statements.push((found.end(), reading));
        }
    }
    for found in PRAISE.captures_iter(text) {
        let Some(token) = found.get(1).or(found.get(3)) else { continue };
        let named = token.as_str().chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if let Some(label) = label_of(token.as_str(), choices).filter(|_| named && alone_before(&text[..token.start()]))
        {
            let denied = found.get(2).or(found.get(4)).is_some() || joined_before(&text[..token.start()]);
            statements.push((token.start(), if denied { Reading::Not(label) } else { Reading::Option(label) }));
        }
    }
    statements
}

/// Reads a last line that is nothing but an answer.
fn last_line(text: &str, choices: &Choices) -> Option<(usize, Reading)> {
    let line = text.trim_end().rsplit('\n').next()?;
    let reading = of_whole(line, choices);
    let listing = text.lines().filter(|line| leads(line, choices).is_some()).count() > 1;
    let bare = line.trim().len() <= 4;
    (reading != Reading::Unreadable && (bare || !listing)).then(|| (text.trim_end().len(), reading))
}

/// Reads a first line that begins with a label and a mark, unless other lines do as well.
fn first_line(text: &str, choices: &Choices) -> Reading {
    let mut leading = text.lines().filter_map(|line| leads(line, choices));
    let first = text.trim_start().lines().next().and_then(|line| leads(line, choices));
    match (first, leading.next(), leading.next()) {
        (Some(label), Some(_), None) => match of_leading(text.trim_start(), choices) {
            Reading::Hedge => Reading::Hedge,
            _ => Reading::Option(label),
        },
        _ => Reading::Nothing,
    }
}

/// The label that a line begins with, followed by a mark: `B.`, `(B)`, `B:`.
fn leads(line: &str, choices: &Choices) -> Option<usize> {
    let line = line.trim_start_matches(SURROUNDING);
    let token = TOKEN.find(line).filter(|token| token.start() == 0)?;
    let rest = &line[token.end()..];
    label_of(token.as_str(), choices).filter(|_| rest.starts_with([')', '.', ':', ']']))
}

/// Reads a text that must be an answer and nothing else.
fn of_whole(text: &str, choices: &Choices) -> Reading {
    let trimmed = text.trim();
    if let Some(i) = text_of(trimmed, choices) {
        return Reading::Option(i);
    }
    let reading = of_leading(trimmed, choices);
    let (Reading::Option(i) | Reading::Not(i)) = reading else {
        return if reading == Reading::Nothing { Reading::Unreadable } else { reading };
    };
    if matches!(reading, Reading::Not(_)) {
        return reading;
    }
    let Some(rest) = after_label(trimmed, choices) else { return Reading::Unreadable };
    let rest_is_text = choices.texts.is_empty() || plain(rest).is_empty() || text_of(rest, choices) == Some(i);
    let rest_denies = NEGATION.is_match(rest.trim_start_matches([' ', ',']));
    if rest_is_text || rest_denies { reading } else { Reading::Unreadable }
}

/// What stands behind a leading label.
fn after_label<'a>(text: &'a str, choices: &Choices) -> Option<&'a str> {
    let text = after_fillers(text.trim_start_matches(SURROUNDING));
    let token = TOKEN.find(text).filter(|token| token.start() == 0)?;
    label_of(token.as_str(), choices).map(|_| &text[token.end()..])
}

/// Drops words that may stand before a label, such as "option".
fn after_fillers(text: &str) -> &str {
    let mut rest = text;
    while let Some(filler) = FILLER.find(rest) {
        rest = rest[filler.end()..].trim_start_matches(SURROUNDING);
    }
    rest
}

/// Reads the answer that a text begins with.
fn of_leading(text: &str, choices: &Choices) -> Reading {
    let mut rest = text.trim_start_matches(SURROUNDING);
    let mut bracketed = rest.len() < text.len() && text.trim_start().starts_with(['(', '[']);
    if let Some(i) = text_beginning(rest, choices) {
        return Reading::Option(i);
    }
    while let Some(filler) = FILLER.find(rest) {
        let next = rest[filler.end()..].trim_start();
        bracketed = next.starts_with(['(', '[']);
        rest = next.trim_start_matches(SURROUNDING);
    }
    if let Some(negation) = NEGATION.find(rest) {
        return of_denial(rest[negation.end()..].trim_start_matches(SURROUNDING), choices);
    }
    let Some(token) = TOKEN.find(rest).filter(|token| token.start() == 0) else { return Reading::Nothing };
    let behind = &rest[token.end()..];
    let named = label_of(token.as_str(), choices)
        .filter(|_| stands_alone("", behind))
        .filter(|_| bracketed || !is_word(token.as_str(), behind));
    match named {
        None => text_beginning(rest, choices).map_or(Reading::Nothing, Reading::Option),
        Some(i) if is_hedged(behind, i, choices) => Reading::Hedge,
        Some(i) => Reading::Option(i),
    }
}

/// Reads what follows a "not": "A but B" is B, "A" alone is not A.
fn of_denial(rest: &str, choices: &Choices) -> Reading {
    let Some(token) = TOKEN.find(rest).filter(|token| token.start() == 0) else { return Reading::Nothing };
    let Some(denied) = label_of(token.as_str(), choices) else { return Reading::Nothing };
    let behind = &rest[token.end()..];
    match TURN.find(behind).map(|turn| behind[turn.end()..].trim_start_matches(SURROUNDING)) {
        Some(turned) if !NEGATION.is_match(turned) => match of_leading(turned, choices) {
            Reading::Nothing => Reading::Not(denied),
            reading => reading,
        },
        _ => Reading::Not(denied),
    }
}

/// Whether another option is joined to the one just read, or its text is that of another.
fn is_hedged(behind: &str, chosen: usize, choices: &Choices) -> bool {
    if let Some(joint) = JOINT.find(behind) {
        let next = behind[joint.end()..].trim_start_matches(SURROUNDING);
        let next = FILLER.find(next).map_or(next, |filler| next[filler.end()..].trim_start_matches(SURROUNDING));
        let token = TOKEN.find(next).filter(|token| token.start() == 0);
        let other = token.filter(|token| {
            let behind = &next[token.end()..];
            stands_alone("", behind) && !is_word(token.as_str(), behind)
        });
        if other.and_then(|token| label_of(token.as_str(), choices)).is_some_and(|other| other != chosen) {
            return true;
        }
    }
    let line = line_of(behind);
    let text = line.trim_start_matches([')', '.', ':', ']', ' ', '-']);
    text.len() < line.len() && text_beginning(text, choices).is_some_and(|other| other != chosen)
}

fn label_of(token: &str, choices: &Choices) -> Option<usize> {
    choices.labels.iter().position(|label| label.eq_ignore_ascii_case(token))
}

/// The option whose text this is.
fn text_of(text: &str, choices: &Choices) -> Option<usize> {
    if choices.texts.is_empty() || text.len() > LONGEST_TEXT {
        return None;
    }
    let text = plain(text);
    choices.texts.iter().position(|option| *option == text)
}

/// Answers are looked for in so many bytes of a line, so that a line full of announcements is not read over and over.
const LONGEST_TEXT: usize = 2000;

/// The first line of a text, or its beginning.
fn line_of(text: &str) -> &str {
    let end = text.char_indices().take_while(|(at, c)| *c != '\n' && *at < LONGEST_TEXT).last();
    &text[..end.map_or(0, |(at, c)| at + c.len_utf8())]
}

/// The option with the longest text that a line begins with, if the line then ends, pauses or gives a reason.
fn text_beginning(line: &str, choices: &Choices) -> Option<usize> {
    if choices.texts.is_empty() {
        return None;
    }
    let words: Vec<&str> = line_of(line).split_whitespace().collect();
    let line = words.join(" ").to_lowercase();
    let line = line.trim_start_matches(SURROUNDING);
    let ends = |rest: &str| {
        rest.is_empty()
            || rest.starts_with(['.', ',', ';', ':', ')', ']', '"', '\'', '!', '<', '}'])
            || REASON.is_match(rest)
    };
    let begun = choices.texts.iter().enumerate().filter(|(_, text)| line.strip_prefix(text.as_str()).is_some_and(ends));
    begun.max_by_key(|(_, text)| text.len()).map(|(i, _)| i)
}

/// Whether a token touches no letter of a script that writes words with blanks between; Chinese may touch it.
fn stands_alone(before: &str, behind: &str) -> bool {
    let mut following = behind.chars();
    let touches = match following.next() {
        Some('\'' | '-' | '_') => following.next().is_some_and(char::is_alphabetic),
        Some(c) => is_letter(c),
        None => false,
    };
    !touches && alone_before(before)
}

fn alone_before(before: &str) -> bool {
    !before.chars().next_back().is_some_and(|c| is_letter(c) || "'-_\\".contains(c))
}

/// Whether another option stands before, as in "A or B is correct".
fn joined_before(before: &str) -> bool {
    let before = before.trim_end();
    ["or", "and", "nor", "neither", "/", ","].iter().any(|joint| before.ends_with(joint))
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() && !('\u{1100}'..='\u{11ff}').contains(&c) && !('\u{2e80}'..='\u{d7ff}').contains(&c)
}

/// Whether a token is a word of a sentence here and not the name of an option.
fn is_word(token: &str, behind: &str) -> bool {
    let goes_on =
        behind.trim_start_matches(')').starts_with(' ') && behind.trim_start().starts_with(char::is_alphanumeric);
    let small = token.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if small { goes_on && !REASON.is_match(behind) } else { is_article(token, behind) }
}

/// Whether a token is the article or the pronoun, which are also letters.
fn is_article(token: &str, behind: &str) -> bool {
    ["A", "I"].contains(&token)
        && behind.starts_with(' ')
        && behind.trim_start().starts_with(char::is_alphabetic)
        && !REASON.is_match(behind)
}
