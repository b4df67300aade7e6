//! The power is cut behind every change and every flush of every flow: at least 10,000 images for
//! each, and in none of them is something served that was not signed and is not whole, and none is
//! lost that was served before. Then mistakes are made, and each of them is caught.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    missing_docs,
    missing_debug_implementations
)]

mod flows;
mod judge;
mod memory;
mod mistakes;
mod sets;

use flows::{FLOWS, Flow, flow};
use judge::judge;
use memory::{Bundles, Memory, Moment, Random};
use mistakes::{Edit, MISTAKES, Mistaken};

const IMAGES: u64 = 10_000;
const SEED: u64 = 15;

/// Every moment at which the power may go; the last one is when all was done.
fn moments(flow: &Flow, bundles: &Bundles, mistake: Option<Edit>) -> Vec<Moment> {
    let mut shelf = Memory::of(bundles, flow.place(bundles), flow.seed);
    let done = match mistake {
        None => (flow.work)(&mut shelf, bundles),
        Some(edit) => (flow.work)(&mut Mistaken::new(&mut shelf, edit), bundles),
    };
    if mistake.is_none() {
        done.unwrap();
    }
    shelf.moments
}

/// The first image that is wrong, and how many were looked at.
fn cut(flow: &Flow, bundles: &Bundles, mistake: Option<Edit>) -> (u64, Option<String>) {
    let moments = moments(flow, bundles, mistake);
    let each = IMAGES.div_ceil(moments.len() as u64);
    let (mut random, mut images) = (Random(SEED), 0);
    for (at, moment) in moments.iter().enumerate() {
        for number in 0..each {
            let image = moment.image(number, &mut random);
            let is_over = at + 1 == moments.len();
            images += 1;
            if let Err(what) = judge(flow, bundles, image, is_over, &mut random) {
                return (images, Some(format!("cut {at}, image {number}: {what}")));
            }
        }
    }
    (images, None)
}

#[test]
fn no_cut_serves_or_loses_what_it_must_not() {
    let bundles = Bundles::new();
    for flow in FLOWS {
        let (images, wrong) = cut(flow, &bundles, None);
        assert_eq!(wrong, None, "{}", flow.name);
        assert!(images >= IMAGES);
        println!("{}: {images} images, seed {SEED}: 0 wrong", flow.name);
    }
}

#[test]
fn every_seeded_mistake_is_caught() {
    let bundles = Bundles::new();
    assert!(MISTAKES.len() >= 20);
    for (name, edit) in MISTAKES {
        let (images, wrong) = cut(flow(name), &bundles, Some(*edit));
        let wrong = wrong.unwrap_or_else(|| panic!("{name}, {edit:?}: not caught"));
        println!("{name}, {edit:?}: caught by image {images}: {wrong}");
    }
}
