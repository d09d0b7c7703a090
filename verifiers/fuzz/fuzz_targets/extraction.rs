//! Extraction never panics, and finds nothing that does not stand in the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rlvr_verifiers::extract::{Extractor, SeveralBoxes, Statement, after_reasoning, answer, choice_letter, statement};

fuzz_target!(|text: &str| {
    use Extractor::{Anchor, Boxed, ChoiceLetter, Hashes, LastLine, LastMath, LastNumber};
    for extractors in [&[Boxed][..], &[Boxed, Anchor], &[Hashes], &[LastMath, LastNumber, LastLine, ChoiceLetter]] {
        let strict = statement(text, extractors, SeveralBoxes::Reject);
        let last = statement(text, extractors, SeveralBoxes::Last);
        // Who rejects several boxes rejects nothing else.
        match &strict {
            Statement::Several(boxes) => {
                assert!(boxes.len() > 1);
                assert_eq!(boxes.last().map(|found| found.text.as_ref()), one(&last));
            }
            single => assert_eq!(single, &last),
        }
        if let Some(found) = answer(text, extractors) {
            assert!(text.contains(found));
        }
    }
    if let Some(letter) = choice_letter(text, 4) {
        assert!(('A'..='D').contains(&letter) && text.to_ascii_uppercase().contains(letter));
    }
    let _ = after_reasoning(text, "</think>");
});

fn one<'a>(statement: &'a Statement<'_>) -> Option<&'a str> {
    match statement {
        Statement::One(found) => Some(&found.text),
        Statement::Absent | Statement::Several(_) => None,
    }
}
