//! One spelling for what Unicode and keyboards offer many for.
//!
//! The result is plain text with LaTeX commands; letters of any alphabet stay. What is invisible is dropped.

use std::borrow::Cow;

/// Rewrites typographic characters as ASCII or LaTeX commands.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && b != 0) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match script(c) {
            Some((mark, first)) => {
                // `²³` is one exponent.
                plain.push(mark);
                plain.push('{');
                plain.push(first);
                while let Some(next) = rest.peek().and_then(|&c| script(c)).filter(|next| next.0 == mark) {
                    plain.push(next.1);
                    rest.next();
                }
                plain.push('}');
            }
            None => push(&mut plain, c),
        }
    }
    Cow::Owned(plain)
}

fn push(plain: &mut String, c: char) {
    if c.is_ascii() {
        if c != '\0' {
            plain.push(c);
        }
    } else if let Some(digit) = digit(c) {
        plain.push(digit);
    } else if let Some(text) = command(c) {
        plain.push_str(text);
    } else if let Some(letter) = styled(c) {
        push(plain, letter);
    } else if c.is_whitespace() {
        plain.push(' ');
    } else if !is_invisible(c) {
        plain.push(c);
    }
}

fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// The zeros of all decimal digits of Unicode beyond ASCII (general category Nd); the other nine follow each.
const ZEROS: [u32; 71] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0,
    0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50,
    0x11d50, 0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce, 0x1d7d8, 0x1d7e2,
    0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0,
];

/// Later blocks, apart so that the table above stays sorted for the search.
const LATE_ZEROS: [u32; 4] = [0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0];

fn digit(c: char) -> Option<char> {
    let code = c as u32;
    let within = |zeros: &[u32]| {
        let at = zeros.partition_point(|&zero| zero <= code).checked_sub(1)?;
        char::from_digit(code - zeros[at], 10)
    };
    within(&ZEROS).or_else(|| within(&LATE_ZEROS))
}

/// Superscripts and subscripts, with the mark that begins them.
fn script(c: char) -> Option<(char, char)> {
    const RAISED: &str = "⁰0¹1²2³3⁴4⁵5⁶6⁷7⁸8⁹9⁺+⁻-⁼=⁽(⁾)ⁿnⁱiˣxʸyᵃaᵇbᵏkᵐmᵗt";
    const LOWERED: &str = "₀0₁1₂2₃3₄4₅5₆6₇7₈8₉9₊+₋-₌=₍(₎)ₙnₖkₘmᵢiⱼjₐaₓx";
    let find = |table: &'static str| {
        let mut pairs = table.chars();
        while let (Some(from), Some(to)) = (pairs.next(), pairs.next()) {
            if from == c {
                return Some(to);
            }
        }
        None
    };
    find(RAISED).map(|to| ('^', to)).or_else(|| find(LOWERED).map(|to| ('_', to)))
}

/// Letters in mathematical alphabets and full width.
fn styled(c: char) -> Option<char> {
    let code = c as u32;
    match code {
        0xff01..=0xff5e => char::from_u32(code - 0xff01 + 0x21),
        // Thirteen alphabets of 52 letters.
        0x1d400..=0x1d6a3 => {
            let at = (code - 0x1d400) % 52;
            char::from_u32(if at < 26 { 0x41 + at } else { 0x61 + at - 26 })
        }
        // Five Greek alphabets of 58 letters, the small ones from 26 on.
        0x1d6a8..=0x1d7c9 => {
            let at = (code - 0x1d6a8) % 58;
            match at {
                0..=24 => char::from_u32(0x391 + at),
                26..=50 => char::from_u32(0x3b1 + at - 26),
                _ => None,
            }
        }
        _ => None,
    }
}

fn command(c: char) -> Option<&'static str> {
    Some(match c {
        '−' | '–' | '—' | '‐' | '‑' | '‒' | '―' | '﹣' => "-",
        '×' | '✕' | '✖' | '⨯' => "\\times ",
        '·' | '⋅' | '∙' | '•' | '∗' => "\\cdot ",
        '÷' | '∕' | '⁄' => "/",
        '±' => "\\pm ",
        '€' => "\\euro ",
        '£' => "\\pounds ",
        '∓' => "\\mp ",
        '√' => "\\sqrt ",
        '∛' => "\\sqrt[3]",
        '∜' => "\\sqrt[4]",
        '∞' => "\\infty ",
        '≤' | '≦' | '⩽' => "\\le ",
        '≥' | '≧' | '⩾' => "\\ge ",
        '≠' => "\\ne ",
        '≈' | '≅' | '≃' | '∼' => "\\approx ",
        '≡' => "\\equiv ",
        '∈' => "\\in ",
        '∉' => "\\notin ",
        '∪' => "\\cup ",
        '∩' => "\\cap ",
        '∖' => "\\setminus ",
        '⊂' => "\\subset ",
        '⊆' => "\\subseteq ",
        '∅' | '⌀' => "\\emptyset ",
        'ℝ' => "\\mathbb{R}",
        'ℕ' => "\\mathbb{N}",
        'ℤ' => "\\mathbb{Z}",
        'ℚ' => "\\mathbb{Q}",
        'ℂ' => "\\mathbb{C}",
        '⟨' | '〈' => "\\langle ",
        '⟩' | '〉' => "\\rangle ",
        '⌊' => "\\lfloor ",
        '⌋' => "\\rfloor ",
        '⌈' => "\\lceil ",
        '⌉' => "\\rceil ",
        '∣' | '｜' => "|",
        '∑' => "\\sum ",
        '∏' => "\\prod ",
        '∫' => "\\int ",
        '°' | 'º' | '˚' => "^\\circ ",
        '′' | '’' | '‘' | 'ʹ' => "'",
        '“' | '”' | '″' => "\"",
        '→' | '⟶' => "\\to ",
        '⇒' | '⟹' => "\\Rightarrow ",
        '∧' => "\\land ",
        '∨' => "\\lor ",
        '…' | '⋯' => "...",
        '、' | '،' | '٬' => ",",
        '٫' | '。' => ".",
        '؛' => ";",
        '٪' => "%",
        '½' => "\\frac{1}{2}",
        '⅓' => "\\frac{1}{3}",
        '⅔' => "\\frac{2}{3}",
        '¼' => "\\frac{1}{4}",
        '¾' => "\\frac{3}{4}",
        '⅕' => "\\frac{1}{5}",
        '⅖' => "\\frac{2}{5}",
        '⅗' => "\\frac{3}{5}",
        '⅘' => "\\frac{4}{5}",
        '⅙' => "\\frac{1}{6}",
        '⅚' => "\\frac{5}{6}",
        '⅐' => "\\frac{1}{7}",
        '⅛' => "\\frac{1}{8}",
        '⅜' => "\\frac{3}{8}",
        '⅝' => "\\frac{5}{8}",
        '⅞' => "\\frac{7}{8}",
        '⅑' => "\\frac{1}{9}",
        '⅒' => "\\frac{1}{10}",
        '\u{2009}' | '\u{202f}' | '\u{2006}' | '\u{2008}' => "\\,",
        _ => return greek(c),
    })
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'π' | 'ϖ' => "\\pi ",
        'α' => "\\alpha ",
        'β' => "\\beta ",
        'γ' => "\\gamma ",
        'δ' => "\\delta ",
        'ε' | 'ϵ' => "\\epsilon ",
        'ζ' => "\\zeta ",
        'η' => "\\eta ",
        'θ' | 'ϑ' => "\\theta ",
        'ι' => "\\iota ",
        'κ' => "\\kappa ",
        'λ' => "\\lambda ",
        'μ' | 'µ' => "\\mu ",
        'ν' => "\\nu ",
        'ξ' => "\\xi ",
        'ρ' => "\\rho ",
        'σ' | 'ς' => "\\sigma ",
        'τ' => "\\tau ",
        'φ' | 'ϕ' => "\\phi ",
        'χ' => "\\chi ",
        'ψ' => "\\psi ",
        'ω' => "\\omega ",
        'Γ' => "\\Gamma ",
        'Δ' | '∆' => "\\Delta ",
        'Θ' => "\\Theta ",
        'Λ' => "\\Lambda ",
        'Σ' => "\\Sigma ",
        'Φ' => "\\Phi ",
        'Ψ' => "\\Psi ",
        'Ω' | '\u{2126}' => "\\Omega ",
        'ℯ' => "e",
        'ⅈ' => "i",
        'ℓ' => "l",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(plain(text), expected);
    }

    #[test]
    fn digits_of_all_scripts() {
        check("７", "7");
        check("٤٢", "42");
        check("१२३", "123");
        check("𝟗𝟘", "90");
        check("\u{1fbf5}", "5");
        for zero in ZEROS.iter().chain(&LATE_ZEROS) {
            let ten: String = (0..10).filter_map(|d| char::from_u32(zero + d)).collect();
            check(&ten, "0123456789");
        }
    }

    #[test]
    fn signs_letters_and_scripts() {
        check("x²³−½", "x^{23}-\\frac{1}{2}");
        check("𝑥₁₂ ≤ √２", "x_{12} \\le  \\sqrt 2");
        check("（１，２）", "(1,2)");
        check("7\u{200b}\0", "7");
        check("𝜋", "\\pi ");
        check("Ärger", "Ärger");
    }
}
