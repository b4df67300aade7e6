//! One step: what the cache has of it, else its command under a lock, and its output renamed into
//! place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Instant, SystemTime};

use rustix::fs::statvfs;

use crate::cache::{Cache, Lock, Made};
use crate::digest;
use crate::guard::Guarded;
use crate::inputs::{Answers, InputError, Inputs, short};
use crate::step::Step;

/// Where steps are made.
#[derive(Debug)]
pub struct Workshop {
    /// What they have made.
    pub cache: Cache,
    /// The source tree.
    pub top: PathBuf,
    /// This program, which guards the commands.
    pub program: PathBuf,
    /// The machine's answers.
    pub answers: Answers,
}

/// What the person in front of it wants to know meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The command runs now.
    Runs,
    /// Another build makes the same.
    Waits,
}

/// Where an output came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    Found(Made),
    /// The command was run.
    Ran(Made),
}

/// A step has no output.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum MakeError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("using {} in the cache", path.display())]
    Cache { path: PathBuf, source: io::Error },
    #[error("its command names {name}, which is neither a step nor a parameter")]
    Unknown { name: String },
    #[error(
        "it needs {wanted_mib} MiB in {}, where {free_mib} MiB are free; SPK_VISOR_CACHE names \
         another place",
        place.display()
    )]
    Room {
        wanted_mib: u64,
        free_mib: u64,
        place: PathBuf,
    },
    #[error("its command ended with {status}")]
    Failed { status: ExitStatus, log: PathBuf },
    #[error("its command made nothing")]
    Nothing { log: PathBuf },
}

impl Workshop {
    /// The output of a step. `needs` are those of the steps before it; `again` makes it even where
    /// it is there.
    ///
    /// # Errors
    /// It is not there and cannot be made.
    pub fn make(
        &self,
        step: &Step,
        needs: &BTreeMap<String, Made>,
        again: bool,
        notice: &dyn Fn(Notice),
    ) -> Result<Outcome, MakeError> {
        let inputs = self.inputs(step, needs)?;
        if step.is_asked_each_time {
            // What it makes has a name only afterwards; another tree's may be made meanwhile.
            let tree = digest::of_text(&self.top.to_string_lossy());
            return self.run(
                step,
                needs,
                inputs,
                &format!("asked-{}", short(&tree)),
                notice,
            );
        }
        let key = inputs.key();
        match self.cache.find(&step.name, &key) {
            Some(made) if !again => Ok(Outcome::Found(made)),
            _ => self.run(step, needs, inputs, &key, notice),
        }
    }

    /// What decides a step's output.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub fn inputs(
        &self,
        step: &Step,
        needs: &BTreeMap<String, Made>,
    ) -> Result<Inputs, InputError> {
        let needed = step.needs();
        let digests = needs
            .iter()
            .filter(|(name, _)| needed.contains(&name.as_str()))
            .map(|(name, made)| (name.clone(), short(&made.digest).to_owned()))
            .collect();
        Inputs::of(step, &self.top, &digests, &self.answers)
    }

    fn run(
        &self,
        step: &Step,
        needs: &BTreeMap<String, Made>,
        inputs: Inputs,
        name: &str,
        notice: &dyn Fn(Notice),
    ) -> Result<Outcome, MakeError> {
        let directory = self.cache.directory(&step.name);
        let directory = directory.map_err(using(Path::new(&step.name)))?;
        let path = directory.join(format!("{name}.lock"));
        let waited = std::cell::Cell::new(false);
        let lock = Lock::take(&path, || {
            waited.set(true);
            notice(Notice::Waits);
        });
        let lock = lock.map_err(using(&path))?;
        // The other build has made it for both.
        if waited.get()
            && let Some(made) = self.cache.find(&step.name, name)
        {
            return Ok(Outcome::Found(made));
        }
        self.has_room(step, &directory)?;
        notice(Notice::Runs);
        let part = directory.join(format!("{name}.part"));
        let log = directory.join(format!("{name}.log"));
        let made = self.run_locked(step, needs, inputs, &part, &log, &lock);
        if made.is_err() {
            // What cannot be removed is removed by the next build of it, or refused there.
            let _ = fs::remove_dir_all(&part);
        }
        made
    }

    /// With the lock, `part` is ours alone; what a killed build left there goes first.
    fn run_locked(
        &self,
        step: &Step,
        needs: &BTreeMap<String, Made>,
        inputs: Inputs,
        part: &Path,
        log: &Path,
        lock: &Lock,
    ) -> Result<Outcome, MakeError> {
        clear(part)?;
        let (output, work) = (part.join("out"), part.join("work"));
        for directory in [&output, &work] {
            fs::create_dir_all(directory).map_err(using(directory))?;
        }
        let value = |name: &str| match name {
            "out" => Some(output.display().to_string()),
            "work" => Some(work.display().to_string()),
            _ => {
                let own = step.parameters.iter().find(|(known, _)| known == name);
                let made = || Some(needs.get(name)?.output.display().to_string());
                own.map(|(_, value)| value.clone()).or_else(made)
            }
        };
        let command = step.command_with(&value);
        let command = command.map_err(|name| MakeError::Unknown { name })?;
        let guarded = Guarded {
            program: &self.program,
            top: &self.top,
            log,
            part,
            command: &command,
        };
        let began = Instant::now();
        let status = guarded.run(lock).map_err(using(&self.program))?;
        let log = log.to_owned();
        if !status.success() {
            return Err(MakeError::Failed { status, log });
        }
        clear(&work)?;
        let (digest, bytes) = digest::of_tree(&output).map_err(using(&output))?;
        let mut entries = fs::read_dir(&output).map_err(using(&output))?;
        if entries.next().is_none() {
            return Err(MakeError::Nothing { log });
        }
        let key = match step.is_asked_each_time {
            true => short(&digest).to_owned(),
            false => inputs.key(),
        };
        let made = Made {
            output: self
                .cache
                .directory(&step.name)
                .map_err(using(part))?
                .join(&key)
                .join("out"),
            key,
            inputs,
            digest,
            bytes,
            took: began.elapsed(),
            at: SystemTime::now(),
        };
        // The same as before stays where it is: somebody may be reading it.
        if let Some(old) = self.cache.find(&step.name, &made.key)
            && digest::of_tree(&old.output).is_ok_and(|(digest, _)| digest == made.digest)
        {
            clear(part)?;
            return Ok(match step.is_asked_each_time {
                true => Outcome::Found(old),
                false => Outcome::Ran(old),
            });
        }
        put_in_place(&made, part)?;
        Ok(Outcome::Ran(made))
    }

    /// That there is room before it is used up.
    fn has_room(&self, step: &Step, place: &Path) -> Result<(), MakeError> {
        let found = statvfs(place).map_err(|error| using(place)(error.into()))?;
        let free_mib = (found.f_bavail * found.f_frsize) >> 20;
        if free_mib < step.room_mib {
            return Err(MakeError::Room {
                wanted_mib: step.room_mib,
                free_mib,
                place: place.to_owned(),
            });
        }
        Ok(())
    }
}

/// Gives a whole output its name, once all of it is on the disk.
fn put_in_place(made: &Made, part: &Path) -> Result<(), MakeError> {
    let record = part.join("record");
    fs::write(&record, made.record()).map_err(using(&record))?;
    for path in digest::everything_in(part).map_err(using(part))? {
        if !path.is_symlink() {
            let file = File::open(&path).map_err(using(&path))?;
            file.sync_all().map_err(using(&path))?;
        }
    }
    let Some(place) = made.output.parent() else {
        return Ok(());
    };
    clear(place)?;
    fs::rename(part, place).map_err(using(place))
}

fn clear(path: &Path) -> Result<(), MakeError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(using(path)(error)),
        _ => Ok(()),
    }
}

fn using(path: &Path) -> impl FnOnce(io::Error) -> MakeError {
    let path = path.to_owned();
    move |source| MakeError::Cache { path, source }
}
