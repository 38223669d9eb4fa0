//! Contenders take turns in rounds, in another order each time, and the median of the rounds counts:
//! noise hits all alike, drift is nobody's, and what one leaves in the caches is not always the same
//! one's to find.

use std::time::Duration;

/// The median time of each contender, over `rounds`. `measure` is given the contender's number.
pub(crate) fn medians(
    contenders: usize,
    rounds: usize,
    mut measure: impl FnMut(usize) -> Duration,
) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(rounds); contenders];
    let mut random = fastrand::Rng::with_seed(0);
    let mut order: Vec<usize> = (0..contenders).collect();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &contender in &order {
            times[contender].push(measure(contender));
        }
    }
    times.into_iter().map(median).collect()
}

/// In nanoseconds.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9
}
