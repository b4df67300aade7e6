//! Pairing: secrets right and wrong, policies that do not fit, keys, impostors and
//! crowds. A peer without the secret changes nothing, and the honest donor still gets through.

use std::time::{Duration, Instant};

use wire::secret::Secret;
use wire::stage::Stage;

use crate::actors::attack::{Crowd, Impostor};
use crate::actors::donor::Order;
use crate::actors::exit::Exit;
use crate::actors::policy::{Credential, Shown};
use crate::actors::stranger::hear_beacon;
use crate::error::{HarnessError, Result};
use crate::lab::{DEPLOY, Lab, STEP, await_shown};

use super::{image, waiting};

/// M1 and M3 of `protocol.md` 3.2: all that somebody who cannot prove himself may see of a donor.
const BEFORE_PROOF_BYTES: usize = 78 + 48;
/// Always, no matter who else connects: `protocol.md` 3.7.
const PAIRED_WITHIN: Duration = Duration::from_secs(10);

/// A donor without the secret, and one that speaks another policy, on one machine. Then the
/// honest donor comes with the same secret, and an impostor announces the machine's code.
pub(super) fn wrong_secret(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo);

    // A typing error is found before anybody is asked: it costs no guess.
    let mistyped = order.clone().with(Credential::Secret(mistyped(&shown)));
    lab.donor(&mistyped)?.must_exit(Exit::Usage, STEP)?;
    let other = Secret::draw([0x5a; 5]).to_string();
    let guessed = order.clone().with(Credential::Secret(other));
    lab.donor(&guessed)?.must_exit(Exit::Pairing, STEP)?;
    target.console.await_text("10.9.0.1", STEP)?;
    image(&machine).must_be_untouched()?;
    lab.donor(&order.clone().with(Credential::Legacy))?
        .must_fail(STEP)?;
    target.console.await_text("the original stream", STEP)?;
    image(&machine).must_be_untouched()?;

    // Heard first and more often than the target itself.
    let impostor = Impostor::start(lab.network().another_address()?, &shown.code)?;
    let mut donor = lab.donor(&order)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    learned_nothing(&impostor.stop())?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Of every donor that asked the impostor it heard what comes before proof, and no more.
fn learned_nothing(heard: &[usize]) -> Result<()> {
    match heard.iter().max() {
        Some(&most) if most <= BEFORE_PROOF_BYTES => {
            println!("wrong-secret: the impostor was asked {} times", heard.len());
            Ok(())
        }
        most => Err(HarnessError::unexpected(
            "what the impostor heard",
            format!("1 to {BEFORE_PROOF_BYTES} bytes"),
            format!("{most:?}"),
        )),
    }
}

/// The secret on the screen, with another last character.
fn mistyped(shown: &Shown) -> String {
    let mut secret = shown.secret.clone().unwrap_or_default();
    let last = secret.pop();
    secret.push(if last == Some('7') { '8' } else { '7' });
    secret
}

pub(super) fn pinned(lab: &mut Lab) -> Result<()> {
    lab.visor(&["keys", "new", "ours"])?;
    lab.visor(&["keys", "new", "theirs"])?;
    lab.bake(&["--pinned", "ours.shim"])?;
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    let order = Order::new(&shown, &lab.artifacts.demo);
    let stranger = order
        .clone()
        .with(Credential::Pinned("theirs.donor".into()));
    lab.donor(&stranger)?.must_exit(Exit::Pairing, STEP)?;
    image(&machine).must_be_untouched()?;
    let ours = order.with(Credential::Pinned("ours.donor".into()));
    let mut donor = lab.donor(&ours)?;
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

pub(super) fn crowded(lab: &mut Lab) -> Result<()> {
    let (machine, mut target) = waiting(lab)?;
    let shown = await_shown(&mut target)?;
    let (_, address) = hear_beacon(STEP)?;
    let from = lab.network().another_address()?;
    let crowd = Crowd::start(from, address, &shown.code, 50)?;
    crowd.await_connections(100, STEP)?;
    image(&machine).must_be_untouched()?;
    let began = Instant::now();
    let order = Order::new(&shown, &lab.artifacts.demo);
    // The first try: nobody starts it again.
    let mut donor = lab.donor(&order)?;
    donor.await_said("its pairing", STEP, |said| {
        said.contains("paired with ").then_some(())
    })?;
    let paired = began.elapsed();
    if paired > PAIRED_WITHIN {
        return Err(HarnessError::unexpected(
            "the time until a donor in a crowd has paired",
            format!("at most {PAIRED_WITHIN:?}"),
            format!("{paired:?}"),
        ));
    }
    target.console.await_stage(Stage::Installed, DEPLOY)?;
    donor.must_succeed(STEP)?;
    println!(
        "crowded: paired after {:.1} s, among {} other connections",
        paired.as_secs_f64(),
        crowd.stop()
    );
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}
