//! Verifiers by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::choice::Choice;
use crate::code::Code;
use crate::constraints::Ifeval;
use crate::exact::Exact;
use crate::f1::F1;
use crate::generators::{
    Arithmetic, BaseConversion, Countdown, GcdLcm, GraphColouring, KnightsKnaves, LetterCounting, LinearEquations,
    Modular, NQueens, Procedural, Puzzle, Sorting, SpellBackward, Sudoku,
};
use crate::json_schema::JsonSchema;
use crate::math::Math;
use crate::pattern::Pattern;
use crate::tool_call::ToolCall;

use crate::verifier::Verifier;

/// Why a verifier could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nobody registered the name.
    #[error("there is no verifier `{name}`{}; known are {known}", nearest.as_ref().map_or(String::new(), |n| format!(" (did you mean `{n}`?)")))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The known name most like it.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// The verifier refuses its options.
    #[error("verifier `{name}`: {why}")]
    Options {
        /// The verifier.
        name: String,
        /// What is wrong and what would be right.
        why: String,
    },
}

type Constructor = Box<dyn Fn(toml::Table) -> Result<Box<dyn Verifier>, String> + Send + Sync>;

type SchemeConstructor = Box<dyn Fn(&str, toml::Table) -> Result<Box<dyn Verifier>, String> + Send + Sync>;

/// Makes verifiers from their names and options.
///
/// A name is a word, such as `math`, or a scheme with an argument, such as `process:./judge --fast`.
///
/// # Examples
///
/// A verifier of your own is one line:
///
/// ```
/// # use rlvr_verifiers::{Registry, exact::{Exact, ExactOptions}};
/// let mut registry = Registry::default();
/// registry.add("shouting", |_: toml::Table| {
///     Ok(Box::new(Exact::new(ExactOptions { case_sensitive: true, ..ExactOptions::default() })))
/// });
/// assert!(registry.build("shouting", &toml::Table::new()).is_ok());
/// ```
pub struct Registry {
    constructors: BTreeMap<String, Constructor>,
    schemes: BTreeMap<String, SchemeConstructor>,
}

impl Registry {
    /// Makes a registry that knows nothing; [`Registry::default`] knows the built-in verifiers.
    pub fn empty() -> Self {
        Self { constructors: BTreeMap::new(), schemes: BTreeMap::new() }
    }

    /// Adds a verifier, or replaces the one of that name.
    ///
    /// The constructor gets the verifier's options, the table `[verifiers.NAME]` of a config, and says what is wrong
    /// with them.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        constructor: impl Fn(toml::Table) -> Result<Box<dyn Verifier>, String> + Send + Sync + 'static,
    ) {
        self.constructors.insert(name.into(), Box::new(constructor));
    }

    /// Adds a family of verifiers whose names are `scheme:ARGUMENT`, or replaces the one of that scheme.
    ///
    /// The constructor gets what stands behind the colon, and the options as in [`Registry::add`].
    pub fn add_scheme(
        &mut self,
        scheme: impl Into<String>,
        constructor: impl Fn(&str, toml::Table) -> Result<Box<dyn Verifier>, String> + Send + Sync + 'static,
    ) {
        self.schemes.insert(scheme.into(), Box::new(constructor));
    }

    /// Returns whether [`Registry::build`] has somebody to ask for the name.
    pub fn knows(&self, name: &str) -> bool {
        self.constructors.contains_key(name) || self.scheme(name).is_some()
    }

    /// Returns whether the name is that of a scheme and not of a verifier.
    pub fn is_scheme(&self, name: &str) -> bool {
        self.schemes.contains_key(name)
    }

    fn scheme<'a>(&self, name: &'a str) -> Option<(&SchemeConstructor, &'a str)> {
        let (scheme, argument) = name.split_once(':')?;
        Some((self.schemes.get(scheme)?, argument))
    }

    /// Adds a verifier whose options are a type.
    fn add_typed<O: DeserializeOwned + 'static, V: Verifier + 'static>(&mut self, name: &str, new: fn(O) -> V) {
        self.add(name, move |options| {
            let options: O = options.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
            Ok(Box::new(new(options)))
        });
    }

    /// Adds a verifier whose options are a type and that may refuse them, or not find on this machine what it needs.
    fn add_fallible<O: DeserializeOwned + 'static, V: Verifier + 'static>(
        &mut self,
        name: &str,
        new: fn(O) -> Result<V, String>,
    ) {
        self.add(name, move |options| {
            let options: O = options.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
            Ok(Box::new(new(options)?))
        });
    }

    fn add_puzzle<P: Puzzle>(&mut self) {
        self.add_typed(P::NAME, Procedural::<P>::new);
    }

    /// Makes the verifier of a name.
    ///
    /// # Errors
    ///
    /// If there is none, or if it refuses the options.
    pub fn build(&self, name: &str, options: &toml::Table) -> Result<Box<dyn Verifier>, RegistryError> {
        let made = match (self.constructors.get(name), self.scheme(name)) {
            (Some(constructor), _) => constructor(options.clone()),
            (None, Some((constructor, argument))) => constructor(argument, options.clone()),
            (None, None) => return Err(self.unknown(name)),
        };
        made.map_err(|why| RegistryError::Options { name: name.to_owned(), why })
    }

    /// Makes the error of a name that nobody registered.
    pub fn unknown(&self, name: &str) -> RegistryError {
        let schemes = self.schemes.keys().map(|scheme| format!("{scheme}:…"));
        RegistryError::Unknown {
            name: name.to_owned(),
            nearest: self.names().find(|known| strsim::jaro_winkler(known, name) > 0.8).map(str::to_owned),
            known: self.names().map(str::to_owned).chain(schemes).collect::<Vec<_>>().join(", "),
        }
    }

    /// Returns the known names, without those of schemes, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.constructors.keys().map(String::as_str)
    }
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self::empty();
        registry.add_typed("math", Math::new);
        registry.add_typed("exact", Exact::new);
        registry.add_typed("choice", Choice::new);
        registry.add_typed("f1", F1::new);
        registry.add_typed("ifeval", Ifeval::new);
        registry.add_typed("json_schema", JsonSchema::new);
        registry.add_typed("regex", Pattern::new);
        registry.add_fallible("code", Code::new);
        registry.add_typed("tool_call", ToolCall::new);
        registry.add_puzzle::<Arithmetic>();
        registry.add_puzzle::<BaseConversion>();
        registry.add_puzzle::<Countdown>();
        registry.add_puzzle::<GcdLcm>();
        registry.add_puzzle::<GraphColouring>();
        registry.add_puzzle::<KnightsKnaves>();
        registry.add_puzzle::<LetterCounting>();
        registry.add_puzzle::<LinearEquations>();
        registry.add_puzzle::<Modular>();
        registry.add_puzzle::<NQueens>();
        registry.add_puzzle::<Sorting>();
        crate::foreign::register(&mut registry);
        registry.add_puzzle::<SpellBackward>();
        registry.add_puzzle::<Sudoku>();
        registry
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, options: &toml::Table, expected: &str) {
        let error = Registry::default().build(name, options).err().expect("it must be refused");
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error =
            Registry::default().build("maths", &toml::Table::new()).err().expect("it must be refused").to_string();
        assert!(
            error.starts_with("there is no verifier `maths` (did you mean `math`?); known are arithmetic, "),
            "{error}"
        );
        assert!(error.contains("process:…"), "{error}");
    }

    #[test]
    fn refusals() {
        check(
            "exact",
            &toml::toml! { case = true },
            "verifier `exact`: unknown field `case`, expected one of `case_sensitive`, `normalise`, `extract`, \
             `reasoning_end`",
        );
    }
}
