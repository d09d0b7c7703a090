//! The words that pass between us and a judge elsewhere: JSON, one message a line.
//!
//! A request is one attempt, or a list of them. An answer has a `score`, or says with `"outcome": "unjudged"` that and
//! `why` there is none. Requests are pure ASCII, so that no locale and no idea of what ends a line can split them;
//! answers come from outside, and are read as bytes that may say anything.

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use serde_json::{Map, Value};

use super::options::Range;
use crate::task::Prompt;
use crate::verifier::{Attempt, Detail, Verdict};

/// Longest `why` and finding that are kept, in bytes.
const LONGEST_WHY: usize = 4000;
const LONGEST_FINDING: usize = 64;

/// What a judge is told of an attempt. Every key is there in every request.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// The task's id.
    pub task: &'a str,
    /// The verifier that the task names.
    pub verifier: &'a str,
    /// Where the task comes from.
    pub source: &'a str,
    /// A text, or a list of messages.
    pub prompt: &'a Prompt,
    /// The reference answer.
    pub reference: Option<&'a str>,
    /// A worked answer.
    pub solution: Option<&'a str>,
    /// What else the task says to its verifier.
    pub spec: &'a Value,
    /// What else the data set carries.
    pub meta: &'a Map<String, Value>,
    /// What is to be judged.
    pub completion: &'a str,
    /// False if the token limit cut the completion off.
    pub finished: bool,
}

impl<'a> From<Attempt<'a>> for Row<'a> {
    fn from(Attempt { task, completion, finished }: Attempt<'a>) -> Self {
        Self {
            task: &task.id,
            verifier: &task.verifier,
            source: &task.source,
            prompt: &task.prompt,
            reference: task.reference.as_deref(),
            solution: task.solution.as_deref(),
            spec: &task.spec,
            meta: &task.meta,
            completion,
            finished,
        }
    }
}

/// The request for one attempt, with the `id` that its answer must bear.
#[derive(Debug, Serialize)]
pub(super) struct One<'a> {
    pub(super) id: &'a str,
    #[serde(flatten)]
    pub(super) row: Row<'a>,
}

/// The request for several attempts that are judged in one call.
#[derive(Debug, Serialize)]
pub(super) struct Several<'a> {
    pub(super) id: &'a str,
    pub(super) attempts: Vec<Row<'a>>,
}

/// Writes a message as one line of ASCII, without the end of the line.
pub(super) fn to_line(message: &impl Serialize) -> Vec<u8> {
    let mut line = vec![];
    message.serialize(&mut Serializer::with_formatter(&mut line, Ascii)).expect("requests are maps of plain values");
    line
}

/// JSON whose texts escape all but ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// A line that a worker wrote.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// It has started up.
    Ready,
    /// It answers the request of this id.
    Reply {
        /// The id of the request.
        id: String,
        /// One answer, or several to a request for several.
        answers: Answers,
    },
}

/// What a reply holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// To the whole request.
    One(Answer),
    /// To the attempts of the request, in their order.
    Each(Vec<Answer>),
}

/// What a judge says of an attempt: a grade, or why there is none.
pub type Answer = Result<Grade, Refusal>;

/// A score as the judge gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    value: Score,
    finding: Option<String>,
    detail: Detail,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Score {
    /// On the judge's own scale, which the option `range` names.
    Ranged(f64),
    /// An outcome from 0 to 1, whatever the scale of scores.
    Outcome(f64),
    /// None: the judge has no opinion.
    Abstained,
}

/// Why there is no score.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// In a line or two.
    pub why: String,
    /// The whole of a Python exception.
    pub traceback: Option<String>,
}

impl Refusal {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), traceback: None }
    }
}

/// Reads a line that a worker wrote.
///
/// # Errors
///
/// If it is not a message: the worker and we no longer understand each other.
///
/// # Examples
///
/// ```
/// use rlvr_verifiers::foreign::protocol::{Answers, Message, parse_reply};
/// let Ok(Message::Reply { id, answers: Answers::One(answer) }) = parse_reply(r#"{"id": "a7", "score": 0.5}"#) else {
///     panic!("it is a reply");
/// };
/// assert_eq!(id, "a7");
/// assert!(answer.is_ok());
/// assert!(parse_reply("Loading checkpoint shards: 100%").is_err());
/// ```
pub fn parse_reply(line: &str) -> Result<Message, String> {
    let value = parse_json(line).map_err(|error| format!("a reply is not JSON ({error}): {}", quoted(line)))?;
    let Value::Object(mut object) = value else {
        return Err(format!("a reply is not a JSON object: {}", quoted(line)));
    };
    if object.get("ready") == Some(&Value::Bool(true)) {
        return Ok(Message::Ready);
    }
    let id = match object.remove("id") {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        _ => return Err(format!("a reply has no `id`: {}", quoted(line))),
    };
    let answers = match object.remove("verdicts") {
        Some(Value::Array(each)) => Answers::Each(each.into_iter().map(read_answer).collect()),
        Some(_) => return Err(format!("`verdicts` of a reply is not a list: {}", quoted(line))),
        None => Answers::One(read_answer(Value::Object(object))),
    };
    Ok(Message::Reply { id, answers })
}

/// Reads JSON from outside; half of a surrogate pair, which some languages make by cutting texts, becomes U+FFFD.
pub(super) fn parse_json(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|error| match mend_surrogates(text) {
        Cow::Borrowed(_) => Err(error),
        Cow::Owned(mended) => serde_json::from_str(&mended),
    })
}

fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| -> Option<u32> {
        let escape = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(escape, 16).ok()
    };
    let (high, low) = (0xd800..0xdc00_u32, 0xdc00..0xe000_u32);
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(step) = text.get(at..).and_then(|rest| rest.find('\\')) {
        at += step;
        at += match unit(at) {
            Some(first) if high.contains(&first) && unit(at + 6).is_some_and(|second| low.contains(&second)) => 12,
            Some(first) if high.contains(&first) || low.contains(&first) => {
                mended.push_str(&text[copied..at]);
                mended.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            Some(_) => 6,
            None => 2, // an escape of one letter, such as `\\`; what is behind it may be no boundary, and ends it
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

/// Reads an answer. What it holds besides the keys below is ignored.
pub(super) fn read_answer(value: Value) -> Answer {
    let Value::Object(mut object) = value else {
        return Err(Refusal::new(format!(
            "the answer is {}, not an object with a `score`",
            quoted(&value.to_string())
        )));
    };
    match object.remove("outcome") {
        None | Some(Value::Null) => {}
        Some(Value::String(outcome)) if outcome == "judged" => {}
        Some(Value::String(outcome)) if outcome == "unjudged" => return Err(read_refusal(object)),
        Some(Value::String(outcome)) if outcome == "abstained" => {
            return Ok(Grade { value: Score::Abstained, finding: None, detail: Detail::new() });
        }
        Some(other) => {
            let why = format!(
                "`outcome` is {}, but must be \"judged\", \"unjudged\" or \"abstained\"",
                quoted(&other.to_string())
            );
            return Err(Refusal::new(why));
        }
    }
    let mut detail = read_detail(object.remove("detail"))?;
    let value = read_score(&mut object, &mut detail)?;
    Ok(Grade { value, finding: read_finding(object.remove("finding"))?, detail })
}

fn read_refusal(mut object: Map<String, Value>) -> Refusal {
    let mut text = |key| match object.remove(key) {
        Some(Value::String(text)) => Some(cut(&text, LONGEST_WHY).into_owned()),
        _ => None,
    };
    let why = text("why").unwrap_or_else(|| "the judge declined and did not say why".to_owned());
    Refusal { why, traceback: text("traceback") }
}

fn read_score(object: &mut Map<String, Value>, detail: &mut Detail) -> Result<Score, Refusal> {
    let number = |key: &str, value: &Value| match value {
        Value::Bool(right) => Ok(f64::from(u8::from(*right))),
        Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
        other => Err(Refusal::new(format!("`{key}` is {}, not a number", quoted(&other.to_string())))),
    };
    let score = object.remove("score");
    match object.remove("acc").filter(|acc| !acc.is_null()) {
        Some(acc) => {
            let outcome = number("acc", &acc)?;
            if !(0.0..=1.0).contains(&outcome) {
                return Err(Refusal::new(format!("`acc` is {outcome}, but must be 0 to 1")));
            }
            if let Some(score) = score {
                detail.insert(Cow::Borrowed("score"), score);
            }
            Ok(Score::Outcome(outcome))
        }
        None => match score {
            None => Err(Refusal::new("the answer has no `score`")),
            Some(score) => number("score", &score).map(Score::Ranged),
        },
    }
}

fn read_finding(finding: Option<Value>) -> Result<Option<String>, Refusal> {
    match finding {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if is_finding(&word) => Ok(Some(word)),
        Some(other) => {
            let rule = format!("but must be a text of at most {LONGEST_FINDING} bytes other than \"unjudged\"");
            Err(Refusal::new(format!("`finding` is {}, {rule}", quoted(&other.to_string()))))
        }
    }
}

fn is_finding(word: &str) -> bool {
    !word.is_empty() && word.len() <= LONGEST_FINDING && word != "unjudged" && !word.chars().any(char::is_control)
}

fn read_detail(detail: Option<Value>) -> Result<Detail, Refusal> {
    match detail {
        None | Some(Value::Null) => Ok(Detail::new()),
        Some(Value::Object(detail)) => Ok(detail.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect()),
        Some(other) => Err(Refusal::new(format!("`detail` is {}, not an object", quoted(&other.to_string())))),
    }
}

impl Grade {
    /// Returns the verdict: the score mapped from its range to 0 to 1, and a finding where the judge named none.
    pub(super) fn into_verdict(self, range: Range) -> Result<Verdict, Refusal> {
        let Self { value, finding, mut detail } = self;
        let score = match value {
            Score::Abstained => return Ok(Verdict::Abstained),
            Score::Outcome(outcome) => outcome,
            Score::Ranged(score) => {
                if range != Range::default() {
                    detail.insert(Cow::Borrowed("score"), score.into());
                }
                range.share(score).map_err(Refusal::new)?
            }
        };
        let finding = finding.map_or(Cow::Borrowed(plain_finding(score)), Cow::Owned);
        Ok(Verdict::Judged { score: score as f32, finding, detail })
    }
}

fn plain_finding(score: f64) -> &'static str {
    match score {
        1.0 => "correct",
        0.0 => "wrong",
        _ => "partial",
    }
}

/// Quotes the beginning of a text.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", cut(text.trim(), 200))
}

/// Cuts a text at a character, with a mark.
pub(super) fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let end = (0..=longest).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::task::Task;

    fn verdict(line: &str, range: Range) -> String {
        match parse_reply(line) {
            Ok(Message::Ready) => "ready".to_owned(),
            Ok(Message::Reply { id, answers: Answers::One(answer) }) => {
                match answer.and_then(|grade| grade.into_verdict(range)) {
                    Ok(Verdict::Judged { score, finding, detail }) => {
                        format!("{id}: {score} {finding} {}", serde_json::to_string(&detail).unwrap())
                    }
                    Ok(Verdict::Unjudged { why }) => format!("{id}: {why}"),
                    Ok(Verdict::Abstained) => format!("{id}: abstained"),
                    Err(refusal) => format!("{id}: {}", refusal.why),
                }
            }
            Ok(Message::Reply { id, answers: Answers::Each(each) }) => format!("{id}: {} answers", each.len()),
            Err(why) => format!("fault: {why}"),
        }
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(verdict(line, Range::default()), expected, "{line}");
    }

    #[test]
    fn replies() {
        check(r#"{"ready": true}"#, "ready");
        check(r#"{"id": "a", "score": 1}"#, "a: 1 correct {}");
        check(r#"{"id": 17, "score": 0}"#, "17: 0 wrong {}");
        check(r#"{"id": "a", "score": 0.25, "whatever": [1]}"#, "a: 0.25 partial {}");
        check(r#"{"id": "a", "score": true}"#, "a: 1 correct {}");
        check(
            r#"{"id": "a", "outcome": "judged", "score": 0, "finding": "no_answer", "detail": {"n": 1}, "why": null}"#,
            r#"a: 0 no_answer {"n":1}"#,
        );
        check(r#"{"id": "a", "outcome": "unjudged", "score": 1, "why": "no GPU"}"#, "a: no GPU");
        check(r#"{"id": "a", "outcome": "unjudged"}"#, "a: the judge declined and did not say why");
        check(r#"{"id": "a", "outcome": "abstained", "score": 1}"#, "a: abstained");
        check(r#"{"id": "a", "acc": true, "score": -0.3}"#, r#"a: 1 correct {"score":-0.3}"#);
        check(r#"{"id": "a", "verdicts": [{"score": 1}, {}]}"#, "a: 2 answers");
        check(r#"{"id": "a", "score": 1, "detail": {"cut": "\ud83d"}}"#, "a: 1 correct {\"cut\":\"\u{fffd}\"}");
    }

    #[test]
    fn answers_without_a_verdict() {
        check(r#"{"id": "a"}"#, "a: the answer has no `score`");
        check(r#"{"id": "a", "score": "1"}"#, r#"a: `score` is `"1"`, not a number"#);
        check(r#"{"id": "a", "score": null}"#, "a: `score` is `null`, not a number");
        check(
            r#"{"id": "a", "score": 1.5}"#,
            "a: the score 1.5 is outside 0 to 1; name the scale of the judge in the option `range = [lo, hi]`",
        );
        check(r#"{"id": "a", "acc": 2}"#, "a: `acc` is 2, but must be 0 to 1");
        check(
            r#"{"id": "a", "outcome": "ok", "score": 1}"#,
            "a: `outcome` is `\"ok\"`, but must be \"judged\", \"unjudged\" or \"abstained\"",
        );
        check(
            r#"{"id": "a", "score": 1, "finding": "unjudged"}"#,
            "a: `finding` is `\"unjudged\"`, but must be a text of at most 64 bytes other than \"unjudged\"",
        );
        check(r#"{"id": "a", "score": 1, "detail": 3}"#, "a: `detail` is `3`, not an object");
    }

    #[test]
    fn what_is_no_reply() {
        check("hello", "fault: a reply is not JSON (expected value at line 1 column 1): `hello`");
        check("[1]", "fault: a reply is not a JSON object: `[1]`");
        check(r#"{"score": 1}"#, r#"fault: a reply has no `id`: `{"score": 1}`"#);
        check(
            r#"{"id": "a", "score": NaN}"#,
            r#"fault: a reply is not JSON (expected value at line 1 column 22): `{"id": "a", "score": NaN}`"#,
        );
        assert!(verdict(&"[".repeat(100_000), Range::default()).starts_with("fault: a reply is not JSON (recursion"));
    }

    #[test]
    fn a_range_is_mapped_to_0_to_1() {
        let range = Range::new(-1.0, 1.0).unwrap();
        assert_eq!(verdict(r#"{"id": "a", "score": -1}"#, range), r#"a: 0 wrong {"score":-1.0}"#);
        assert_eq!(verdict(r#"{"id": "a", "score": 0.5}"#, range), r#"a: 0.75 partial {"score":0.5}"#);
        assert!(verdict(r#"{"id": "a", "score": 1.01}"#, range).contains("outside -1 to 1"));
    }

    #[test]
    fn a_request_is_one_line_of_ascii_that_says_all() {
        let completion = "é\n\0\u{2028}𝕏\u{85}\"";
        let mut task = Task::new("t/1", "Was?", "process:x").with_reference("½").with_spec(json!({"n": 1}));
        task.meta.insert("level".into(), 3.into());
        let attempt = Attempt { task: &task, completion, finished: false };
        let line = String::from_utf8(to_line(&One { id: "a", row: attempt.into() })).unwrap();
        assert!(line.is_ascii() && !line.contains('\n'));
        let expected = json!({"id": "a", "task": "t/1", "verifier": "process:x", "source": "", "prompt": "Was?",
            "reference": "½", "solution": null, "spec": {"n": 1}, "meta": {"level": 3}, "completion": completion,
            "finished": false});
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>) {
            let _ = parse_reply(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn near_misses_do_not_either(
            line in r#"\{("(id|score|acc|outcome|verdicts|detail|finding)": ?(null|true|-?[0-9]{1,4}(\.[0-9]|e[0-9]{1,3})?|"(a|judged|\\|\\u[d][89a-f][0-9]{2}|é)*"|\[\{\}\]|\{"score": 1\}),?){0,4}\}?"#
        ) {
            if let Ok(Message::Reply { answers: Answers::One(Ok(grade)), .. }) = parse_reply(&line)
                && let Ok(verdict) = grade.into_verdict(Range::default()) {
                let score = verdict.score().unwrap();
                prop_assert!((0.0..=1.0).contains(&score));
            }
        }

        #[test]
        fn texts_survive(completion: String) {
            let line = String::from_utf8(to_line(&completion)).unwrap();
            prop_assert!(line.is_ascii());
            prop_assert_eq!(parse_json(&line).unwrap(), Value::String(completion));
        }

        #[test]
        fn mending_leaves_sound_texts_alone(text: String) {
            let line = String::from_utf8(to_line(&text)).unwrap();
            prop_assert_eq!(&*mend_surrogates(&line), line.as_str());
        }
    }
}
