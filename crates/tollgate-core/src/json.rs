//! Reading JSON with errors that say where and what: a JSON pointer (RFC 6901) and a sentence.

use serde_json::{Map, Value};

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if pointer.is_empty() { "the policy" } else { pointer.as_str() })]
pub struct PolicyError {
    /// Where: a JSON pointer into the policy; empty for the whole.
    pub pointer: String,
    /// What: one sentence.
    pub message: String,
}

/// Longest text anywhere in a policy, in bytes.
pub(crate) const TEXT_MAX: usize = 256;

/// A value and where it stands.
pub(crate) struct At<'a> {
    pub(crate) value: &'a Value,
    pub(crate) pointer: String,
}

impl<'a> At<'a> {
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> PolicyError {
        PolicyError { pointer: self.pointer.clone(), message: message.into() }
    }

    fn below(&self, name: &str, value: &'a Value) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { value, pointer: format!("{}/{name}", self.pointer) }
    }

    /// The members of an object that may have these and no others.
    pub(crate) fn object(&self, allowed: &[&str]) -> Result<&'a Map<String, Value>, PolicyError> {
        let members = self.value.as_object().ok_or_else(|| self.error("It must be an object."))?;
        match members.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            Some((name, value)) => Err(self
                .below(name, value)
                .error(format!("There is no such member. Known are: {}.", allowed.join(", ")))),
            None => Ok(members),
        }
    }

    /// A member of an object; null counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(self.below(name, value))
    }

    pub(crate) fn required(&self, name: &str) -> Result<Self, PolicyError> {
        self.get(name).ok_or_else(|| self.error(format!("The member `{name}` is missing.")))
    }

    pub(crate) fn items(&self, max: usize) -> Result<Vec<Self>, PolicyError> {
        let items = self.value.as_array().ok_or_else(|| self.error("It must be a list."))?;
        if items.len() > max {
            return Err(self.error(format!("It has more than {max} items.")));
        }
        Ok(items.iter().enumerate().map(|(place, value)| self.below(&place.to_string(), value)).collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, PolicyError> {
        let text = self.value.as_str().ok_or_else(|| self.error("It must be a text."))?;
        if text.is_empty() || text.len() > TEXT_MAX {
            return Err(self.error(format!("It must have 1 to {TEXT_MAX} bytes.")));
        }
        Ok(text)
    }

    pub(crate) fn number(&self) -> Result<f64, PolicyError> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error("It must be a number."))
    }

    /// A number from one bound to another.
    pub(crate) fn number_in(&self, least: f64, most: f64) -> Result<f64, PolicyError> {
        let number = self.number()?;
        let right = (least..=most).contains(&number);
        right.then_some(number).ok_or_else(|| self.error(format!("It must be from {least} to {most}.")))
    }

    pub(crate) fn flag(&self) -> Result<bool, PolicyError> {
        self.value.as_bool().ok_or_else(|| self.error("It must be true or false."))
    }

    /// One of some names.
    pub(crate) fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Result<T, PolicyError> {
        let text = self.text()?;
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            self.error(format!("It must be one of: {}.", known.join(", ")))
        })
    }
}
