//! Arguments in; paths of artefacts on standard output, progress on standard error, an exit code.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use lexopt::{Arg, Parser, ValueExt};
use wire::chain::chain;

use crate::build::{self, Event, Outputs};
use crate::cache::Cache;
use crate::guard;
use crate::inputs::Answers;
use crate::make::{MakeError, Workshop};
use crate::matrix;
use crate::show;
use crate::step::Step;
use crate::table::{Profile, Table, behind, joined, set};

const HELP: &str = "\
usage: build PROFILE [--only STEP] [--from STEP] [--set NAME=VALUE]... [--out DIR] [--jobs N]
       build PROFILE --list | --why STEP
       build path STEP [--set NAME=VALUE]...
       build prove PATH...

Makes the artefacts of a profile and prints the name and the path of each. What was made of the
same inputs before is taken from the cache. A build that was stopped, or killed, goes on behind the
last step that it had finished.

  --only STEP       make this step, and of the others only what it needs
  --from STEP       make this step and all behind it, even where they are in the cache
  --set NAME=VALUE  give a parameter another value: `--set version=2 --set counter=2`
  --out DIR         copy the artefacts there
  --jobs N          make at most so many steps at a time; as many as there are processors
  --list            print the steps in order: what is there, what it took and its size
  --why STEP        print what made a step run, or why it does not
  path STEP         make one step and print the path of its output and nothing else
  prove PATH...     print what has to be run for a change of these files

The cache is $SPK_VISOR_CACHE, else $XDG_CACHE_HOME/spk-visor, else ~/.cache/spk-visor.

Exit status: 0 made, 1 a step failed, 2 usage error.
";

/// How many of a log's last lines are shown.
const LAST_LINES: usize = 20;

/// What was asked for.
#[derive(Debug, Default)]
struct Request {
    profile: String,
    /// The step of `path`.
    path_of: Option<String>,
    /// The paths of `prove`.
    changed: Vec<String>,
    only: Option<String>,
    from: Option<String>,
    why: Option<String>,
    is_list: bool,
    settings: Vec<(String, String)>,
    out: Option<PathBuf>,
    jobs: Option<usize>,
}

/// The artefacts cannot be copied.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
enum CopyError {
    #[error("copying to {}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("two artefacts are named {name}")]
    Twice { name: String },
}

/// A file of the source tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {}", path.display())]
struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Does what the arguments behind the program's name ask for. `top` is the source tree.
pub fn run(table: &Table, top: &Path, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.next_if(|word| word == guard::COMMAND).is_some() {
        return guard::guard(arguments);
    }
    let request = match parse(&mut Parser::from_args(arguments)) {
        Ok(Some(request)) => request,
        Ok(None) => {
            print!("{HELP}\nProfiles:\n\n");
            for profile in &table.profiles {
                println!("  {:<12} {}", profile.name, profile.about);
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("build: {error}; see build --help");
            return ExitCode::from(2);
        }
    };
    match answer(table, top, &request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// `None` means that help was asked for.
fn parse(parser: &mut Parser) -> Result<Option<Request>, lexopt::Error> {
    let mut request = Request::default();
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("only") => request.only = Some(parser.value()?.string()?),
            Arg::Long("from") => request.from = Some(parser.value()?.string()?),
            Arg::Long("why") => request.why = Some(parser.value()?.string()?),
            Arg::Long("list") => request.is_list = true,
            Arg::Long("out") => request.out = Some(PathBuf::from(parser.value()?)),
            Arg::Long("jobs") => request.jobs = Some(parser.value()?.parse()?),
            Arg::Long("set") => {
                let word = parser.value()?.string()?;
                let Some((name, value)) = word.split_once('=') else {
                    return Err(format!("expected NAME=VALUE behind --set, not {word:?}").into());
                };
                request.settings.push((name.to_owned(), value.to_owned()));
            }
            Arg::Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    match words.as_slice() {
        [word, step] if word == "path" => request.path_of = Some(step.clone()),
        [word] if word == "prove" => return Err("no path given".into()),
        [word, changed @ ..] if word == "prove" => request.changed = changed.to_vec(),
        [profile] => request.profile.clone_from(profile),
        [] => return Err("no profile given".into()),
        [_, other, ..] => return Err(format!("{other:?} was not expected").into()),
    }
    Ok(Some(request))
}

fn answer(table: &Table, top: &Path, request: &Request) -> Result<(), Box<dyn Error>> {
    if !request.changed.is_empty() {
        return say_proof(top, &request.changed);
    }
    let workshop = Workshop {
        cache: Cache::of_environment()?,
        top: top.to_owned(),
        // Also when cargo has put another one in its place meanwhile.
        program: PathBuf::from("/proc/self/exe"),
        answers: Answers::default(),
    };
    let profile = match &request.path_of {
        Some(_) => None,
        None => Some(table.profile(&request.profile)?),
    };
    let results: Vec<&str> = match (profile, request.path_of.as_ref().or(request.only.as_ref())) {
        (_, Some(step)) => vec![step],
        (Some(profile), None) => profile.results.to_vec(),
        (None, None) => Vec::new(),
    };
    let results = match &request.why {
        Some(step) => vec![step.as_str()],
        None => results,
    };
    let mut order = table.order(&results)?;
    for (name, value) in &request.settings {
        set(&mut order, name, value)?;
    }
    if request.is_list {
        print!("{}", show::list(&workshop, &order)?);
        return Ok(());
    }
    if request.why.is_some() {
        print!("{}", show::why(&workshop, &order)?);
        return Ok(());
    }
    let again = again(&order, request.from.as_deref())?;
    let own = available_parallelism().map_or(1, usize::from);
    let jobs = request.jobs.unwrap_or(own).max(1);
    let alone = profile.map(|profile| alone(profile, &request.settings));
    let mut say = |event: Event<'_>| say(&event, alone.as_deref());
    let outputs = build::build(&workshop, &order, &again, jobs, &mut say)?;
    finish(request, &results, &outputs)
}

/// The steps that are made even where they are in the cache.
fn again(order: &[Step], from: Option<&str>) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let Some(from) = from else {
        return Ok(BTreeSet::new());
    };
    if order.iter().any(|step| step.name == from) {
        return Ok(behind(order, from));
    }
    let known = joined(order.iter().map(|step| step.name.as_str()));
    Err(format!("{from} is not among the steps to make: {known}").into())
}

fn say_proof(top: &Path, changed: &[String]) -> Result<(), Box<dyn Error>> {
    let path = top.join(matrix::DOCUMENT);
    let document = fs::read_to_string(&path).map_err(|source| ReadError { path, source })?;
    let (least, broader) = matrix::proof(&matrix::rows(&document)?, changed)?;
    for command in least {
        println!("{command}");
    }
    if !broader.is_empty() {
        println!("# broader:\n{}", broader.join("\n"));
    }
    Ok(())
}

/// How one step of a profile is run by hand.
fn alone(profile: &Profile, settings: &[(String, String)]) -> String {
    let mut command = format!("./build {}", profile.name);
    for (name, value) in settings {
        command = format!("{command} --set {name}='{value}'");
    }
    format!("{command} --only")
}

fn finish(request: &Request, results: &[&str], outputs: &Outputs) -> Result<(), Box<dyn Error>> {
    let made = results
        .iter()
        .filter_map(|name| Some((*name, outputs.get(*name)?)));
    if let Some(out) = &request.out {
        let sources: Vec<&Path> = made.map(|(_, made)| made.output.as_path()).collect();
        copy_all(&sources, out)?;
        println!("{}", out.display());
        return Ok(());
    }
    for (name, made) in made {
        match request.path_of {
            Some(_) => println!("{}", made.output.display()),
            None => println!("{name} {}", made.output.display()),
        }
    }
    Ok(())
}

/// Says an event on standard error. `alone` is the command that runs the step named behind it.
fn say(event: &Event<'_>, alone: Option<&str>) {
    let last = |last: Option<std::time::Duration>| match last {
        Some(last) => format!("{} the last time", show::duration(last)),
        None => "for the first time".to_owned(),
    };
    match event {
        Event::Runs { step, last: time } => eprintln!("build: {step} runs ({})", last(*time)),
        Event::Waits { step } => eprintln!("build: {step}: another build makes it; waiting for it"),
        Event::StillRuns { running } => {
            for one in running {
                let time = show::duration(one.since.elapsed());
                eprintln!(
                    "build: {} still runs, {time} ({})",
                    one.step,
                    last(one.last)
                );
            }
        }
        Event::Ran { step, made } => {
            let (took, size) = (show::duration(made.took), show::size(made.bytes));
            eprintln!("build: {step} is ready after {took}, {size}");
        }
        Event::Failed { step, error } => {
            eprintln!("build: {step} failed: {}", chain(*error));
            if let MakeError::Failed { log, .. } | MakeError::Nothing { log } = error {
                for line in last_lines(log) {
                    eprintln!("    {line}");
                }
                eprintln!("build: all that it said: {}", log.display());
            }
            match alone {
                Some(alone) => eprintln!("build: to run it alone: {alone} {step}"),
                None => eprintln!("build: to run it alone: ./build path {step}"),
            }
        }
    }
}

fn last_lines(log: &Path) -> Vec<String> {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .take(LAST_LINES)
        .map(Into::into)
        .collect();
    lines.reverse();
    lines
}

/// Copies what is in each source to `out`; what has a name there already is replaced once its
/// successor is whole.
fn copy_all(sources: &[&Path], out: &Path) -> Result<(), CopyError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError::Copy { path, source }
    };
    fs::create_dir_all(out).map_err(failed(out))?;
    let mut names = BTreeSet::new();
    for source in sources {
        for entry in fs::read_dir(source).map_err(failed(source))? {
            let entry = entry.map_err(failed(source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let place = out.join(entry.file_name());
            let part = out.join(format!(".{name}.part"));
            if !names.insert(name.clone()) {
                return Err(CopyError::Twice { name });
            }
            remove(&part).map_err(failed(&part))?;
            copy(&entry.path(), &part).map_err(failed(&place))?;
            if place.is_dir() {
                remove(&place).map_err(failed(&place))?;
            }
            fs::rename(&part, &place).map_err(failed(&place))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = from.symlink_metadata()?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if !metadata.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
