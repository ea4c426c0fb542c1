//! How much more the replicas of the stable arm differ than independent requests would: phi (JUDGE section 7.3).
//!
//! Pods share nodes, caches and neighbours, so their errors come in clumps, and a test that takes requests for independent would be
//! too sure. The stable series are an A/A test that always runs: their Pearson statistic over blocks of several lengths tells how
//! clumped counts are at that time scale. Each log e-value is divided by the largest that is proved (an e-value still, by Jensen).

use libm::{pow, sqrt};
use serde::{Deserialize, Serialize};

use super::log_e::Events;

/// Series are put into so many groups at most.
const GROUPS: usize = 16;

/// Block lengths, in ticks.
pub(crate) const LENGTHS: [u32; 4] = [1, 4, 16, 64];

/// The 95 % point of the normal distribution.
const Z_95: f64 = 1.645;

/// The dispersion of one signal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Dispersion {
    blocks: [Block; LENGTHS.len()],
    /// Hashes of the series seen since the step began, in the order in which they came.
    keys: Vec<u32>,
    /// Whether there are so many series that each goes to the group of its hash.
    is_hashed: bool,
    /// Whether any tick had two series.
    is_replicated: bool,
}

/// One block length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Block {
    /// Pearson's statistic over all blocks that have ended.
    x2: f64,
    /// Its degrees of freedom.
    df: f64,
    /// Ticks of the open block.
    ticks: u32,
    /// Bad events and all events of the open block, by group.
    groups: Vec<(f64, f64)>,
}

impl Dispersion {
    /// Learns one tick of the stable arm: each series by the hash of its key. Nothing at all is learned too: the blocks go on.
    pub(crate) fn learn(&mut self, series: impl Iterator<Item = (u32, Events)> + Clone) {
        self.is_replicated |= is_replicated(series.clone());
        self.know(series.clone().map(|(key, _)| key));
        for (key, events) in series {
            let group = self.group(key);
            for block in &mut self.blocks {
                block.add(group, events);
            }
        }
        for (block, length) in self.blocks.iter_mut().zip(LENGTHS) {
            block.ticks += 1;
            if block.ticks >= length {
                block.end();
            }
        }
    }

    /// A step begins: open blocks are dropped, and series are new.
    pub(crate) fn enter_step(&mut self) {
        self.drop_open();
        self.keys.clear();
        self.is_hashed = false;
    }

    /// The estimate: 1 unless a block length proves more.
    pub(crate) fn phi(&self) -> f64 {
        self.blocks.iter().filter(|block| block.is_proof()).map(|block| block.x2 / block.df).fold(1.0, f64::max)
    }

    /// Whether anything can be estimated: there were two series at once.
    pub(crate) const fn has_replicates(&self) -> bool {
        self.is_replicated
    }

    fn know(&mut self, keys: impl Iterator<Item = u32>) {
        for key in keys {
            if self.is_hashed {
                return;
            }
            if !self.keys.contains(&key) {
                if self.keys.len() < GROUPS {
                    self.keys.push(key);
                } else {
                    self.is_hashed = true;
                    self.drop_open();
                }
            }
        }
    }

    fn group(&self, key: u32) -> usize {
        let known = (!self.is_hashed).then(|| self.keys.iter().position(|known| *known == key)).flatten();
        known.unwrap_or(key as usize % GROUPS)
    }

    fn drop_open(&mut self) {
        for block in &mut self.blocks {
            block.ticks = 0;
            block.groups.clear();
        }
    }

    #[cfg(test)]
    pub(crate) fn sums(&self) -> [(f64, f64); LENGTHS.len()] {
        [0, 1, 2, 3].map(|at| (self.blocks[at].x2, self.blocks[at].df))
    }

    #[cfg(test)]
    pub(crate) fn of_sums(sums: [(f64, f64); LENGTHS.len()]) -> Self {
        let blocks = sums.map(|(x2, df)| Block { x2, df, ..Block::default() });
        Self { is_replicated: sums.iter().any(|(_, df)| *df > 0.0), blocks, ..Self::default() }
    }
}

/// Whether there are two series in one tick.
pub(crate) fn is_replicated(mut series: impl Iterator<Item = (u32, Events)>) -> bool {
    series.nth(1).is_some()
}

impl Block {
    fn add(&mut self, group: usize, events: Events) {
        if self.groups.len() <= group {
            self.groups.resize(group + 1, (0.0, 0.0));
        }
        let (k, n) = &mut self.groups[group];
        *k += events.k;
        *n += events.n;
    }

    fn end(&mut self) {
        let (all_k, all_n) = self.groups.iter().fold((0.0, 0.0), |(k, n), group| (k + group.0, n + group.1));
        let present = || self.groups.iter().filter(|(_, n)| *n > 0.0);
        let count = present().count();
        if all_k > 0.0 && count >= 2 {
            let x2: f64 =
                present().map(|(k, n)| (k - all_k * n / all_n) * (k - all_k * n / all_n) / (all_k * n / all_n)).sum();
            if x2.is_finite() {
                self.x2 += x2;
                self.df += count as f64 - 1.0;
            }
        }
        self.ticks = 0;
        self.groups.clear();
    }

    /// Whether the statistic is above the 95 % point of chi-square, by Wilson and Hilferty (1931).
    fn is_proof(&self) -> bool {
        let spread = 2.0 / (9.0 * self.df);
        self.df > 0.0 && self.x2 > self.df * pow(1.0 - spread + Z_95 * sqrt(spread), 3.0)
    }
}
