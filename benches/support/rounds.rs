//! Contenders take turns in rounds, each round in another order, and the median counts. So noise
//! and drift hit all alike, and no contender always finds the caches as the same other one left
//! them.

use std::time::Duration;

/// The median time of each contender over `rounds`. `measure` gets the contender's number.
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
