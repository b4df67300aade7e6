//! How long the proof of the power cuts goes on: as `./check` wants it, or as `./prove updates`
//! says in the environment.

/// Images that each flow is judged on, at least.
const IMAGES: &str = "SMV_PROOF_IMAGES";
/// Of the first flow; each one behind it has the next.
const SEED: &str = "SMV_PROOF_SEED";

/// How many images, and which.
pub struct Effort {
    pub images: usize,
    pub seed: u64,
}

impl Effort {
    /// What was asked for, or what is usual. What is not a number fails the proof.
    pub fn asked() -> Self {
        Self {
            images: asked(IMAGES).unwrap_or(10_000),
            seed: asked(SEED).unwrap_or(14),
        }
    }
}

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number of this kind")))
}
