//! Chat templates: Jinja as Hugging Face runs it.
//!
//! Templates are written for Jinja 2 inside `transformers`, so the environment here answers as that one does: block
//! tags leave no lines behind, values print as Python would print them, `tojson` writes what `json.dumps` writes,
//! strings have Python's methods, and `raise_exception` and `strftime_now` exist.

mod python;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::Map;

use crate::error::RolloutError;

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Variables that every rendering sees: the special tokens.
    globals: Map<String, serde_json::Value>,
}

const NAME: &str = "chat";

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// `globals` are variables for every rendering, such as `bos_token`.
    ///
    /// # Errors
    ///
    /// If the template is not valid Jinja; names the line.
    pub fn new(source: &str, globals: Map<String, serde_json::Value>) -> Result<Self, RolloutError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(explain)?;
        environment.set_syntax(syntax);
        environment.set_formatter(python::format);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", python::to_json);
        environment.add_filter("string", |value: &Value| python::to_text(value));
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, without_generation_tags(source)).map_err(explain)?;
        Ok(Self { environment, globals })
    }

    /// Renders messages, with further variables such as `tools` or `enable_thinking`.
    ///
    /// # Errors
    ///
    /// If the template raises an exception or fails; the message is the template's own.
    pub fn render(
        &self,
        messages: &serde_json::Value,
        add_generation_prompt: bool,
        variables: &Map<String, serde_json::Value>,
    ) -> Result<String, RolloutError> {
        let mut context = self.globals.clone();
        context.insert("messages".to_owned(), messages.clone());
        context.insert("add_generation_prompt".to_owned(), add_generation_prompt.into());
        context.extend(variables.clone());
        let template = self.environment.get_template(NAME).map_err(explain)?;
        template.render(Value::from(Serde(context))).map_err(explain)
    }
}

/// Returns the innermost message, with the template's line where it is a mistake of the template.
#[expect(clippy::needless_pass_by_value, reason = "it is used as a function of `map_err`")]
fn explain(error: Error) -> RolloutError {
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = match innermost.downcast_ref::<Error>() {
        Some(e) if e.kind() == ErrorKind::InvalidOperation && e.detail().is_some_and(|d| d.starts_with(RAISED)) => {
            e.detail().unwrap_or_default().trim_start_matches(RAISED).to_owned()
        }
        _ => error.to_string(),
    };
    RolloutError::Template(text)
}

/// Marks the messages that templates raise themselves.
const RAISED: &str = "raised: ";

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    use std::fmt::Write;
    let mut text = String::new();
    write!(text, "{}", chrono::Local::now().format(format)).map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now cannot read the format `{format}`"))
    })?;
    Ok(text)
}

/// Replaces `{% generation %}`, by which transformers marks what the assistant said, by a block without effect.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let word =
            tag[..end].trim_start_matches(['{', '%', '-', '+', ' ', '\n']).split([' ', '-', '+', '%', '\n']).next();
        out.push_str(&match word {
            Some(word @ "generation") => tag[..end].replacen(word, "if true", 1),
            Some(word @ "endgeneration") => tag[..end].replacen(word, "endif", 1),
            _ => tag[..end].to_owned(),
        });
        rest = &tag[end..];
    }
    out + rest
}

/// Unused keyword arguments of `tojson` are accepted, as `json.dumps` accepts them.
fn indent_of(kwargs: &Kwargs) -> Result<Option<usize>, Error> {
    let indent = kwargs.get("indent")?;
    for ignored in ["ensure_ascii", "separators", "sort_keys"] {
        let _: Option<Value> = kwargs.get(ignored)?;
    }
    kwargs.assert_all_used()?;
    Ok(indent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(template: &str, variables: &serde_json::Value, expected: &str) {
        let globals = Map::from_iter([("bos_token".to_owned(), json!("<s>"))]);
        let template = ChatTemplate::new(template, globals).unwrap();
        let messages = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": " a</think>b "}]);
        let rendered = template.render(&messages, true, variables.as_object().unwrap()).unwrap();
        assert_eq!(rendered, expected);
    }

    #[test]
    fn blocks_leave_no_lines() {
        check("{% if true %}\nx\n    {% endif %}\ny\n", &json!({}), "x\ny");
        check("  {%- for m in messages %}\n{{ m.role }},\n{%- endfor %}", &json!({}), "user,assistant,");
    }

    #[test]
    fn special_tokens_and_variables() {
        let template =
            "{{ bos_token }}{% if not thinking %}!{% endif %}{{ missing }}{% if add_generation_prompt %}?{% endif %}";
        check(template, &json!({"thinking": false}), "<s>!?");
    }

    #[test]
    fn python_methods_and_slices() {
        check("{{ messages[1].content.split('</think>')[-1].strip() }}", &json!({}), "b");
        check("{{ messages[-1]['content'].lstrip(' ').startswith('a') }}", &json!({}), "True");
        check("{% for m in messages[::-1] %}{{ m.role[0] }}{% endfor %}", &json!({}), "au");
        check("{{ ', '.join(['a', 'b']) ~ 'x'.upper() }}", &json!({}), "a, bX");
        check("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", &json!({"d": {"z": 1, "a": 2}}), "z=1;a=2;");
        check("{{ d.get('q', 'none') }}", &json!({"d": {}}), "none");
    }

    #[test]
    fn values_print_as_in_python() {
        check(
            "{{ a }} {{ b }} {{ c }} {{ d }} {{ e }}",
            &json!({"a": true, "b": null, "c": 1.0, "d": ["x", "it's"], "e": {"k": false}}),
            "True None 1.0 ['x', \"it's\"] {'k': False}",
        );
    }

    #[test]
    fn json_is_written_as_in_python() {
        let tool = json!({"tool": {"name": "f", "n": [1, 2.5, null], "s": "<é'>", "o": {}}});
        check("{{ tool | tojson }}", &tool, r#"{"name": "f", "n": [1, 2.5, null], "s": "<é'>", "o": {}}"#);
        check("{{ [1, {}] | tojson(indent=2) }}", &json!({}), "[\n  1,\n  {}\n]");
    }

    #[test]
    fn namespaces_macros_and_loop_controls() {
        let template = "{% macro f(x) %}<{{ x }}>{% endmacro %}{% set ns = namespace(n=0) %}\
            {% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% set ns.n = ns.n + loop.index %}{{ f(ns.n) }}{% endfor %}";
        check(template, &json!({}), "<2>");
    }

    #[test]
    fn generation_tags_have_no_effect() {
        check("a{% generation %}b{%- endgeneration -%} c", &json!({}), "abc");
    }

    #[test]
    fn the_date_is_formatted() {
        let template = ChatTemplate::new("{{ strftime_now('%Y') }}", Map::new()).unwrap();
        let year: i32 = template.render(&json!([]), false, &Map::new()).unwrap().parse().unwrap();
        assert!(year >= 2024);
    }

    #[test]
    fn exceptions_carry_the_templates_message() {
        let template = ChatTemplate::new(
            "{% if messages %}{{ raise_exception('only ' ~ messages|length) }}{% endif %}",
            Map::new(),
        );
        let error = template.unwrap().render(&json!([1]), false, &Map::new()).unwrap_err();
        assert_eq!(error.to_string(), "chat template: only 1");
        let error = ChatTemplate::new("{% if %}", Map::new()).unwrap_err().to_string();
        assert!(error.contains("in chat:1"), "{error}");
    }
}
