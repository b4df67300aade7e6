//! All steps and profiles, and the order in which steps are made.

use std::collections::BTreeSet;

use crate::step::Step;

/// What can be built.
#[derive(Clone, Debug)]
pub struct Table {
    /// In no order that matters.
    pub steps: Vec<Step>,
    /// What a person asks for.
    pub profiles: Vec<Profile>,
}

/// A set of artefacts that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The steps whose outputs are the artefacts.
    pub results: &'static [&'static str],
}

/// A name is not in the table, or the table is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum TableError {
    #[error("there is no step {name}; the profile's steps are: {known}")]
    NoStep { name: String, known: String },
    #[error("there is no profile {name}; there are: {known}")]
    NoProfile { name: String, known: String },
    #[error("step {step} needs {name}, which is no step")]
    NoNeed { step: String, name: String },
    #[error("step {name} needs itself")]
    Circle { name: String },
    #[error("no step of it has a parameter {name}")]
    NoParameter { name: String },
}

impl Table {
    /// The profile of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn profile(&self, name: &str) -> Result<&Profile, TableError> {
        let mut profiles = self.profiles.iter();
        profiles
            .find(|profile| profile.name == name)
            .ok_or_else(|| TableError::NoProfile {
                name: name.to_owned(),
                known: joined(self.profiles.iter().map(|profile| profile.name)),
            })
    }

    /// Steps and all that they need, needs first.
    ///
    /// # Errors
    /// A name is no step's, or a step needs itself.
    pub fn order(&self, results: &[&str]) -> Result<Vec<Step>, TableError> {
        let mut order = Vec::new();
        for name in results {
            self.visit(name, &mut Vec::new(), &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        open: &mut Vec<String>,
        order: &mut Vec<Step>,
    ) -> Result<(), TableError> {
        if order.iter().any(|step| step.name == name) {
            return Ok(());
        }
        let name = name.to_owned();
        if open.contains(&name) {
            return Err(TableError::Circle { name });
        }
        let Some(step) = self.steps.iter().find(|step| step.name == name) else {
            return Err(match open.last() {
                Some(step) => TableError::NoNeed {
                    step: step.clone(),
                    name,
                },
                None => TableError::NoStep {
                    name,
                    known: joined(self.steps.iter().map(|step| step.name.as_str())),
                },
            });
        };
        open.push(name);
        for need in step.needs() {
            self.visit(need, open, order)?;
        }
        open.pop();
        order.push(step.clone());
        Ok(())
    }
}

/// The steps of `order` that are `from` or have it before them.
#[must_use]
pub fn behind(order: &[Step], from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([from.to_owned()]);
    for step in order {
        if step.needs().iter().any(|need| found.contains(*need)) {
            found.insert(step.name.clone());
        }
    }
    found
}

/// Gives a parameter a value in each step that has it.
///
/// # Errors
/// None has it.
pub fn set(order: &mut [Step], name: &str, value: &str) -> Result<(), TableError> {
    let mut is_known = false;
    for step in order {
        for (_, old) in step
            .parameters
            .iter_mut()
            .filter(|(known, _)| known == name)
        {
            value.clone_into(old);
            is_known = true;
        }
    }
    if is_known {
        return Ok(());
    }
    let name = name.to_owned();
    Err(TableError::NoParameter { name })
}

/// Names, as a person reads a list.
pub fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(steps: &[(&str, &str)]) -> Table {
        Table {
            steps: steps
                .iter()
                .map(|(name, word)| Step::new(name, [*word]))
                .collect(),
            profiles: Vec::new(),
        }
    }

    #[test]
    fn needs_come_first_and_once() {
        let table = table(&[
            ("iso", "{kernel}{init}"),
            ("init", "{kernel}"),
            ("kernel", "x"),
        ]);
        let order = table.order(&["iso", "kernel"]).unwrap();
        let names: Vec<_> = order.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["kernel", "init", "iso"]);
        let behind = behind(&order, "init");
        assert_eq!(
            behind,
            BTreeSet::from(["init".to_owned(), "iso".to_owned()])
        );
    }

    #[test]
    fn a_circle_and_a_missing_step_are_refused() {
        let circle = table(&[("a", "{b}"), ("b", "{a}")]);
        let name = "a".to_owned();
        assert_eq!(circle.order(&["a"]), Err(TableError::Circle { name }));
        let missing = table(&[("a", "{b}")]).order(&["a"]).unwrap_err();
        assert_eq!(missing.to_string(), "step a needs b, which is no step");
    }
}
