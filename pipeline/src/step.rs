//! A step as a value: its name, what it reads, and the command that makes its output.

/// One step. `docs/building.md` 3 shows how to add one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it makes, in a word. Also a directory in the cache.
    pub name: String,
    /// The command. `{out}` is the directory that it fills, `{work}` an empty one that is removed
    /// afterwards, `{NAME}` the output of another step, or the value of a parameter.
    pub command: Vec<String>,
    /// Files whose contents count: a path in the source tree, a directory with all that it holds,
    /// or a pattern with `*` in its last part.
    pub files: Vec<String>,
    /// The same, but lines that are comments do not count.
    pub texts: Vec<String>,
    /// Lines of shell whose output counts, such as `gcc --version | head -n 1`.
    pub questions: Vec<String>,
    /// Environment variables whose values count.
    pub variables: Vec<String>,
    /// Parameters and their values until `--set` gives others.
    pub parameters: Vec<(String, String)>,
    /// Room that the command needs in the cache, in MiB, its output included.
    pub room_mib: u64,
    /// Run each time, because the command knows itself what has changed, as cargo does. The output
    /// is then known by its contents.
    pub is_asked_each_time: bool,
}

impl Step {
    /// A step that runs a program of the source tree or of the machine.
    pub fn new<W: Into<String>>(name: &str, command: impl IntoIterator<Item = W>) -> Self {
        Self {
            name: name.to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            files: Vec::new(),
            texts: Vec::new(),
            questions: Vec::new(),
            variables: Vec::new(),
            parameters: Vec::new(),
            room_mib: 0,
            is_asked_each_time: false,
        }
    }

    /// A step that runs a line of bash.
    #[must_use]
    pub fn shell(name: &str, line: &str) -> Self {
        Self::new(name, ["bash", "-euo", "pipefail", "-c", line])
    }

    /// Files whose contents count.
    #[must_use]
    pub fn reads<W: Into<String>>(mut self, files: impl IntoIterator<Item = W>) -> Self {
        self.files.extend(files.into_iter().map(Into::into));
        self
    }

    /// Files of which comments and empty lines do not count: rewording a reason costs no build.
    #[must_use]
    pub fn reads_code_of<W: Into<String>>(mut self, files: impl IntoIterator<Item = W>) -> Self {
        self.texts.extend(files.into_iter().map(Into::into));
        self
    }

    /// Lines of shell whose output counts.
    #[must_use]
    pub fn asks<W: Into<String>>(mut self, questions: impl IntoIterator<Item = W>) -> Self {
        self.questions.extend(questions.into_iter().map(Into::into));
        self
    }

    /// The versions of Debian packages count.
    #[must_use]
    pub fn uses_packages(self, names: &str) -> Self {
        self.asks([format!("dpkg-query -W {names}")])
    }

    /// Environment variables whose values count.
    #[must_use]
    pub fn reads_variables<W: Into<String>>(mut self, names: impl IntoIterator<Item = W>) -> Self {
        self.variables.extend(names.into_iter().map(Into::into));
        self
    }

    /// A parameter and the value that it has until `--set` gives another.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Room that the command needs, in MiB.
    #[must_use]
    pub const fn wants_mib(mut self, room: u64) -> Self {
        self.room_mib = room;
        self
    }

    /// Run each time; see [`Step::is_asked_each_time`].
    #[must_use]
    pub const fn asked_each_time(mut self) -> Self {
        self.is_asked_each_time = true;
        self
    }

    /// The steps whose outputs the command names, each once, in the order in which they are named.
    #[must_use]
    pub fn needs(&self) -> Vec<&str> {
        let mut needs: Vec<&str> = Vec::new();
        for word in &self.command {
            for (_, name) in placeholders(word) {
                let is_own = matches!(name, "out" | "work")
                    || self.parameters.iter().any(|(known, _)| known == name);
                if !is_own && !needs.contains(&name) {
                    needs.push(name);
                }
            }
        }
        needs
    }

    /// The command with every placeholder replaced by what `value` says of it.
    ///
    /// # Errors
    /// The first name of which it says nothing.
    pub fn command_with(
        &self,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, String> {
        let fill = |word: &String| {
            let mut filled = String::new();
            for (before, name) in placeholders(word) {
                filled.push_str(before);
                filled.push_str(&value(name).ok_or_else(|| name.to_owned())?);
            }
            filled.push_str(behind_placeholders(word));
            Ok(filled)
        };
        self.command.iter().map(fill).collect()
    }
}

/// The `{name}`s of a word, each with the text between the one before and itself. Braces of shell
/// (`${x}`, `{a,b}`, `{ a; }`) are text.
fn placeholders(word: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let (before, name, behind) = next_placeholder(rest)?;
        rest = behind;
        Some((before, name))
    })
}

fn behind_placeholders(word: &str) -> &str {
    let mut rest = word;
    while let Some((_, _, behind)) = next_placeholder(rest) {
        rest = behind;
    }
    rest
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
            && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.match_indices('{').find_map(|(start, _)| {
        let before = text.get(..start)?;
        let (name, behind) = text.get(start + 1..)?.split_once('}')?;
        (!before.ends_with('$') && is_name(name)).then_some((before, name, behind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_names_is_needed_once() {
        let step = Step::new(
            "iso",
            ["{tool}/make", "{kernel}", "{tool}/x", "-o", "{out}"],
        );
        assert_eq!(step.needs(), ["tool", "kernel"]);
        let step = Step::new("slot", ["make", "{version}", "{work}"]).parameter("version", "1");
        assert!(step.needs().is_empty());
    }

    #[test]
    fn braces_of_shell_are_left_alone() {
        let step = Step::shell("x", "cp ${a} {out}/{b,c} && { true; } && cp {kernel}{out}");
        assert_eq!(step.needs(), ["kernel"]);
        let filled = step
            .command_with(&|name| Some(format!("<{name}>")))
            .unwrap();
        assert_eq!(
            filled.last().unwrap(),
            "cp ${a} <out>/{b,c} && { true; } && cp <kernel><out>"
        );
    }

    #[test]
    fn an_unknown_name_is_reported() {
        let step = Step::new("x", ["{nothing}"]);
        assert_eq!(step.command_with(&|_| None), Err("nothing".to_owned()));
    }
}
