//! Text to ids and back.

use std::path::{Path, PathBuf};

use rlvr_verifiers::{Prompt, Task};
use serde_json::{Map, Value, json};
use tokenizers::Tokenizer as Inner;

use crate::error::RolloutError;
use crate::template::ChatTemplate;

/// The files that make up a tokenizer in a Hugging Face folder; all are copied along with a model.
const FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
];

/// A tokenizer with its chat template and the tokens that end a completion.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    template: Option<ChatTemplate>,
    stop_ids: Vec<u32>,
    pad_id: u32,
    /// The files as they were read or made, to be written beside a trained model.
    files: Vec<(&'static str, Vec<u8>)>,
}

/// Whether encoding adds the tokens of the post-processor, such as a beginning-of-text token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Add them: the text is a document.
    Add,
    /// Leave the text as it is: a template has written them already.
    Omit,
}

impl Tokenizer {
    /// Reads the tokenizer of a Hugging Face folder.
    ///
    /// The chat template is that of `chat_template.jinja`, or else of `tokenizer_config.json`. Completions end at the
    /// tokens of `generation_config.json`, or else of `config.json`, or else at the tokenizer's own end token.
    ///
    /// # Errors
    ///
    /// Names the file that is missing or unusable.
    pub fn read(folder: &Path) -> Result<Self, RolloutError> {
        let mut files = vec![];
        for name in FILES {
            let path = folder.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => files.push((name, bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(RolloutError::io(&path)(error)),
            }
        }
        let model_config = read_json(&folder.join("config.json"))?.unwrap_or_default();
        Self::from_files(files, &model_config, folder)
    }

    fn from_files(
        files: Vec<(&'static str, Vec<u8>)>,
        model_config: &Map<String, Value>,
        folder: &Path,
    ) -> Result<Self, RolloutError> {
        let path = folder.join("tokenizer.json");
        let bytes = file(&files, "tokenizer.json").ok_or_else(|| {
            RolloutError::tokenizer(
                &path,
                "the file is missing; save the tokenizer with transformers (use_fast=True) to make it",
            )
        })?;
        let mut inner = Inner::from_bytes(bytes).map_err(|error| RolloutError::tokenizer(&path, error.to_string()))?;
        // Settings of whoever saved the tokenizer; a policy's prompt is neither cut nor filled.
        inner.with_padding(None);
        inner.with_truncation(None).expect("there is nothing to check without truncation");

        let parse = |name: &'static str| -> Result<Map<String, Value>, RolloutError> {
            let Some(bytes) = file(&files, name) else { return Ok(Map::new()) };
            parse_object(bytes, &folder.join(name))
        };
        let config = parse("tokenizer_config.json")?;
        let generation = parse("generation_config.json")?;
        let specials = special_tokens(&config, &parse("special_tokens_map.json")?);

        let id_of = |name: &str| specials.get(name).and_then(Value::as_str).and_then(|token| inner.token_to_id(token));
        let mut stop_ids = ids_of(generation.get("eos_token_id"));
        if stop_ids.is_empty() {
            stop_ids = ids_of(model_config.get("eos_token_id"));
        }
        if stop_ids.is_empty() {
            stop_ids.extend(id_of("eos_token"));
        }
        let pad_id = id_of("pad_token").or(stop_ids.first().copied()).unwrap_or(0);
        let template = match template_source(&files, &config, folder)? {
            Some(source) => Some(ChatTemplate::new(&source, specials)?),
            None => None,
        };
        Ok(Self { inner, template, stop_ids, pad_id, files })
    }

    /// Makes a tokenizer of single bytes: 256 tokens and an end token. It encodes any text.
    pub fn bytes() -> Self {
        let alphabet: Map<String, Value> =
            byte_alphabet().into_iter().zip(0_u32..).map(|(c, i)| (c.to_string(), i.into())).collect();
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        Self::made(alphabet, &Value::Null, &byte_level, &byte_level)
    }

    /// Makes a tokenizer of the given characters, an end token, and a token for everything else.
    ///
    /// # Errors
    ///
    /// If there are no characters.
    pub fn characters(characters: &str) -> Result<Self, RolloutError> {
        let mut distinct: Vec<char> = characters.chars().collect();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.is_empty() {
            let path = PathBuf::from("[policy.tokenizer]");
            return Err(RolloutError::tokenizer(&path, "`characters` is empty; list the characters that tasks use"));
        }
        let tokens = distinct.into_iter().map(String::from).chain([UNKNOWN.to_owned()]);
        let vocabulary = tokens.zip(0_u32..).map(|(token, i)| (token, i.into())).collect();
        Ok(Self::made(vocabulary, &Value::from(UNKNOWN), &Value::Null, &json!({"type": "Fuse"})))
    }

    /// Builds the tokenizer files of a vocabulary of single symbols, then reads them as any others.
    fn made(mut vocabulary: Map<String, Value>, unknown: &Value, pre_tokenizer: &Value, decoder: &Value) -> Self {
        let end_id = vocabulary.len() as u32;
        vocabulary.insert(END.to_owned(), end_id.into());
        let special = |id: &Value, content: &str| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        };
        let mut added = vec![special(&vocabulary[END], END)];
        if let Some(unknown) = unknown.as_str() {
            added.insert(0, special(&vocabulary[unknown], unknown));
        }
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder,
            "model": {"type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                      "vocab": vocabulary, "merges": []},
        });
        let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END,
                            "unk_token": unknown, "clean_up_tokenization_spaces": false});
        let generation = json!({"eos_token_id": end_id, "pad_token_id": end_id});
        let files =
            [("tokenizer.json", tokenizer), ("tokenizer_config.json", config), ("generation_config.json", generation)];
        let files = files.into_iter().map(|(name, value)| (name, format!("{value:#}\n").into_bytes())).collect();
        Self::from_files(files, &Map::new(), Path::new("")).expect("a made tokenizer is sound")
    }

    /// Writes the tokenizer's files into a model folder.
    ///
    /// # Errors
    ///
    /// Names the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<(), RolloutError> {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(RolloutError::io(&path))?;
        }
        Ok(())
    }

    /// Returns the number of ids, special ones included; the largest id may exceed it in odd tokenizers.
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Returns the largest id.
    pub fn largest_id(&self) -> u32 {
        self.inner.get_vocab(true).values().copied().max().unwrap_or(0)
    }

    /// Returns the tokens that end a completion.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// Returns the token that ends what the model says, the first of the stop tokens.
    pub fn end_id(&self) -> Option<u32> {
        self.stop_ids.first().copied()
    }

    /// Returns the token that fills.
    pub fn pad_id(&self) -> u32 {
        self.pad_id
    }

    /// Returns the chat template.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// Encodes a text.
    ///
    /// # Panics
    ///
    /// Never for tokenizers read from files: encoding fails only for normalisers written in Python.
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, special == SpecialTokens::Add).expect("encoding does not fail");
        encoding.get_ids().to_vec()
    }

    /// Decodes ids; special tokens are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).expect("decoding does not fail")
    }

    /// Decodes ids one after another, for finding stop strings.
    pub(crate) fn decoder(&self) -> impl FnMut(u32) -> Option<String> + '_ {
        let mut stream = self.inner.decode_stream(true);
        move |id| stream.step(id).ok().flatten()
    }

    /// Renders the prompt of a task and encodes it.
    ///
    /// A text becomes the message of a user if the model has a chat template, and is taken as it is otherwise.
    ///
    /// # Errors
    ///
    /// If the prompt is a chat and the model has no template, if the template refuses it, or if nothing is left.
    pub fn prompt(&self, task: &Task) -> Result<Vec<u32>, RolloutError> {
        let refuse = |why: String| RolloutError::Prompt { task: task.id.clone(), why };
        let ids = match (&self.template, &task.prompt) {
            (None, Prompt::Text(text)) => self.encode(text, SpecialTokens::Add),
            (None, Prompt::Chat(_)) => {
                let why = "the prompt is a chat, but the model has no chat template; use a text, or an instruct model";
                return Err(refuse(why.to_owned()));
            }
            (Some(template), prompt) => {
                let messages = match prompt {
                    Prompt::Text(text) => json!([{"role": "user", "content": text}]),
                    Prompt::Chat(messages) => json!(messages),
                };
                let text = template.render(&messages, true, &Map::new()).map_err(|error| refuse(error.to_string()))?;
                self.encode(&text, SpecialTokens::Omit)
            }
        };
        if ids.is_empty() {
            return Err(refuse("the prompt is empty; a policy needs at least one token to continue".to_owned()));
        }
        Ok(ids)
    }
}

/// The end token of made tokenizers.
const END: &str = "<|end|>";
/// The token for characters that a made tokenizer does not have.
const UNKNOWN: &str = "<|unknown|>";

fn file<'a>(files: &'a [(&'static str, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.as_slice())
}

fn read_json(path: &Path) -> Result<Option<Map<String, Value>>, RolloutError> {
    match std::fs::read(path) {
        Ok(bytes) => parse_object(&bytes, path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RolloutError::io(path)(error)),
    }
}

fn parse_object(bytes: &[u8], path: &Path) -> Result<Map<String, Value>, RolloutError> {
    serde_json::from_slice(bytes).map_err(|error| RolloutError::tokenizer(path, format!("not a JSON object: {error}")))
}

/// Reads one id or a list of ids.
fn ids_of(value: Option<&Value>) -> Vec<u32> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_u64).map(|id| id as u32).collect()
}

/// Returns the special tokens by name, as templates see them. A token is a text or an object with `content`.
fn special_tokens(config: &Map<String, Value>, map: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(_) => Some(value.clone()),
        Value::Object(token) => token.get("content").cloned(),
        _ => None,
    };
    let is_token = |name: &str| name.ends_with("_token");
    map.iter()
        .chain(config)
        .filter(|(name, _)| is_token(name))
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

/// Returns the source of the chat template, if there is one.
fn template_source(
    files: &[(&'static str, Vec<u8>)],
    config: &Map<String, Value>,
    folder: &Path,
) -> Result<Option<String>, RolloutError> {
    if let Some(bytes) = file(files, "chat_template.jinja") {
        let path = folder.join("chat_template.jinja");
        let text = String::from_utf8(bytes.to_vec());
        return text.map(Some).map_err(|_| RolloutError::tokenizer(&path, "the file is not UTF-8"));
    }
    let path = folder.join("tokenizer_config.json");
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source.clone())),
        Some(Value::Array(named)) => {
            let default =
                named.iter().find(|entry| entry["name"] == "default").and_then(|entry| entry["template"].as_str());
            default.map(|source| Some(source.to_owned())).ok_or_else(|| {
                RolloutError::tokenizer(&path, "`chat_template` is a list without an entry named `default`")
            })
        }
        Some(_) => Err(RolloutError::tokenizer(&path, "`chat_template` is neither a text nor a list of named ones")),
    }
}

/// The printable characters by which byte-level tokenizers write the 256 bytes (Radford et al. 2019, GPT-2): bytes that
/// print stand for themselves, the others follow from U+0100 on.
fn byte_alphabet() -> Vec<char> {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100_u32;
    (0..=u8::MAX)
        .map(|byte| {
            if prints(byte) {
                return char::from(byte);
            }
            next += 1;
            char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_encode_everything() {
        let tokenizer = Tokenizer::bytes();
        let text = "a\n\0é😀 <|x|>";
        let ids = tokenizer.encode(text, SpecialTokens::Add);
        assert_eq!(ids, text.bytes().map(u32::from).collect::<Vec<_>>());
        assert_eq!(tokenizer.decode(&ids), text);
        assert_eq!((tokenizer.vocabulary_size(), tokenizer.stop_ids()), (257, [256].as_slice()));
    }

    #[test]
    fn characters_encode_what_they_list() {
        let tokenizer = Tokenizer::characters("210+=").unwrap();
        let ids = tokenizer.encode("1+2=é", SpecialTokens::Add);
        assert_eq!(ids, [2, 0, 3, 4, 5]);
        assert_eq!(tokenizer.decode(&[2, 0, 3, 4, 2, 6]), "1+2=1");
        assert_eq!(tokenizer.end_id(), Some(6));
        assert!(Tokenizer::characters("").is_err());
    }

    #[test]
    fn a_made_tokenizer_survives_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        Tokenizer::characters("01").unwrap().write(folder.path()).unwrap();
        let tokenizer = Tokenizer::read(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("10", SpecialTokens::Add), [1, 0]);
        assert_eq!(tokenizer.end_id(), Some(3));
    }

    #[test]
    fn special_texts_of_a_made_tokenizer_are_single_tokens() {
        let tokenizer = Tokenizer::characters("0").unwrap();
        assert_eq!(tokenizer.encode("0<|end|>", SpecialTokens::Omit), [0, 2]);
    }

    #[test]
    fn refusals_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let shown = |folder: &Path| {
            Tokenizer::read(folder).unwrap_err().to_string().replace(&format!("{}/", folder.display()), "")
        };
        assert_eq!(
            shown(folder.path()),
            "tokenizer file `tokenizer.json`: the file is missing; save the tokenizer with transformers (use_fast=True) to make it"
        );
        std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
        assert!(shown(folder.path()).starts_with("tokenizer file `tokenizer.json`: EOF while parsing"));
    }

    #[test]
    fn chats_need_a_template() {
        let tokenizer = Tokenizer::bytes();
        let chat = Prompt::Chat(vec![rlvr_verifiers::Message::new("user", "hi")]);
        let error = tokenizer.prompt(&Task::new("t", chat, "exact")).unwrap_err().to_string();
        assert_eq!(
            error,
            "task `t`: the prompt is a chat, but the model has no chat template; use a text, or an instruct model"
        );
        let error = tokenizer.prompt(&Task::new("t", "", "exact")).unwrap_err().to_string();
        assert_eq!(error, "task `t`: the prompt is empty; a policy needs at least one token to continue");
    }
}
