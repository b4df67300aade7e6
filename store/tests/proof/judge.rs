//! What has to be true of every image.

use store::collect::collect;
use store::open;
use store::recover::recover;
use store::shelf::{Listing, Shelf, Target};

use crate::flows::Flow;
use crate::memory::{Bundles, Disk, Memory, Random};

/// What is wrong with an image, if something is. `is_over`: the flow had come to its end.
pub fn judge(
    flow: &Flow,
    bundles: &Bundles,
    image: Disk,
    is_over: bool,
    random: &mut Random,
) -> Result<(), String> {
    let mut shelf = Memory::of(bundles, image, flow.seed);
    served(flow, &shelf)?;
    at_once(flow, &mut shelf, bundles, is_over)?;
    recover(&mut shelf).map_err(|error| format!("recovery: {error}"))?;
    recovered(flow, &mut shelf, bundles, is_over)?;
    // The power goes once more, in the middle of recovery.
    if random.next().is_multiple_of(8) {
        let at = random.next() as usize % shelf.moments.len();
        let image = shelf.moments[at].image(2, random);
        let mut shelf = Memory::of(bundles, image, flow.seed);
        served(flow, &shelf)?;
        recover(&mut shelf).map_err(|error| format!("second recovery: {error}"))?;
        recovered(flow, &mut shelf, bundles, is_over)?;
    }
    Ok(())
}

/// A web server follows the pointer and asks nobody.
fn served(flow: &Flow, shelf: &Memory<'_>) -> Result<(), String> {
    if let Some(torn) = shelf.torn() {
        return Err(format!("generation {torn} is torn"));
    }
    match shelf.disk().current {
        Some(current) if !shelf.is_whole(current) => Err(format!("{current} is served, torn")),
        Some(current) if ![flow.old, flow.tried, Some(flow.new)].contains(&Some(current)) => {
            Err(format!("{current} is served"))
        }
        None if flow.old.is_some() => Err("nothing is served".to_owned()),
        _ => match shelf
            .disk()
            .previous
            .filter(|previous| !shelf.is_whole(*previous))
        {
            Some(previous) => Err(format!("{previous} is called the former one, and is not")),
            None => Ok(()),
        },
    }
}

/// Before recovery.
fn at_once(
    flow: &Flow,
    shelf: &mut Memory<'_>,
    bundles: &Bundles,
    is_over: bool,
) -> Result<(), String> {
    let has_any = flow.old.is_some() || flow.seed.is_some() || is_over;
    if has_any && open::open(shelf).is_err() {
        return Err("nothing can be opened".to_owned());
    }
    if !is_over {
        return Ok(());
    }
    let (disk, ledger) = (shelf.disk(), shelf.ledger());
    if disk.current != Some(flow.new) {
        return Err(format!("{:?} is served at the end", disk.current));
    }
    if flow.is_new_only_at_the_end {
        return match ledger.trial {
            Some(_) => Ok(()),
            None => Err("the ledger has no trial".to_owned()),
        };
    }
    if disk.previous != flow.previous {
        return Err(format!("the former one is {:?} at the end", disk.previous));
    }
    if ledger.current.map(|current| current.counter) != counter(flow.new, flow.seed) {
        return Err("the ledger does not follow at the end".to_owned());
    }
    let listing = shelf.look().unwrap();
    let garbage = store::collect::garbage(&listing, &ledger);
    // What has lost its name may be there after a cut; recovery removes it.
    match garbage.iter().any(|counter| Some(*counter) != flow.failed) {
        true => Err("garbage is left at the end".to_owned()),
        false => remembers(flow, shelf, bundles),
    }
}

fn remembers(flow: &Flow, shelf: &Memory<'_>, bundles: &Bundles) -> Result<(), String> {
    match flow.failed.map(|counter| bundles.version(counter).digest) {
        Some(digest) if shelf.ledger().failure(&digest).is_none() => {
            Err("the failure is forgotten".to_owned())
        }
        _ => Ok(()),
    }
}

/// Behind recovery.
fn recovered(
    flow: &Flow,
    shelf: &mut Memory<'_>,
    bundles: &Bundles,
    is_over: bool,
) -> Result<(), String> {
    let disk = shelf.disk().clone();
    served(flow, shelf)?;
    let current = disk.current;
    let is_new = current == Some(flow.new);
    let is_allowed = match flow.is_new_only_at_the_end {
        true => current == flow.old,
        false if is_over => is_new,
        false => is_new || current == flow.old,
    };
    if !is_allowed {
        return Err(format!("{current:?} is served after recovery"));
    }
    let ledger = shelf.ledger();
    if ledger.trial.is_some() {
        return Err("a trial is left after recovery".to_owned());
    }
    let served = current.and_then(|current| counter(current, flow.seed));
    if ledger.current.map(|current| current.counter) != served {
        return Err("the ledger does not follow after recovery".to_owned());
    }
    let floor = bundles.key().map_or(0, |key| ledger.floor(key));
    let old = flow.old.and_then(|old| counter(old, flow.seed));
    if floor < served.unwrap_or(0) || floor < old.unwrap_or(0) {
        return Err(format!("the floor is {floor}"));
    }
    // What nobody has judged, and nobody has left, has not failed.
    let is_tried = flow.is_new_only_at_the_end || flow.name.starts_with("keep");
    let is_plain = flow.failed.is_none() && !is_tried;
    if is_plain && !ledger.failed().is_empty() {
        return Err("something has failed that was not judged".to_owned());
    }
    if is_new && flow.new != flow.old.unwrap_or(Target::Seed) && flow.failed.is_some() {
        remembers(flow, shelf, bundles)?;
    }
    if is_new && flow.previous.is_some() && disk.previous != flow.previous {
        return Err(format!(
            "the former one is {:?} after recovery",
            disk.previous
        ));
    }
    same_again(shelf, &disk)?;
    outlasts(flow, shelf, is_over)
}

/// What is ready for later is there also when all that nothing needs is gone.
fn outlasts(flow: &Flow, shelf: &mut Memory<'_>, is_over: bool) -> Result<(), String> {
    let Some(ready) = flow.staged.filter(|ready| ready.is_from_before || is_over) else {
        return Ok(());
    };
    collect(shelf).map_err(|error| format!("collection: {error}"))?;
    match shelf.is_whole(Target::Generation(ready.counter)) {
        true => Ok(()),
        false => Err(format!(
            "generation {} was staged, and is lost",
            ready.counter
        )),
    }
}

/// A second run changes nothing.
fn same_again(shelf: &mut Memory<'_>, disk: &Disk) -> Result<(), String> {
    let listing: Listing = shelf.look().unwrap();
    let found = recover(shelf).map_err(|error| format!("recovery again: {error}"))?;
    let is_same = shelf.disk() == disk && found.is_empty() && listing.parts.is_empty();
    match is_same {
        true => Ok(()),
        false => Err(format!("recovery goes on: {found:?}")),
    }
}

fn counter(target: Target, seed: Option<u64>) -> Option<u64> {
    match target {
        Target::Generation(counter) => Some(counter),
        Target::Seed => seed,
    }
}
