//! Bucket sums (Pippenger 1976; Bernstein, Doumen, Lange, Oosterwijk 2012, section 4) by pairwise
//! additions.
//!
//! The entries of a bucket are added pair by pair, then the sums pair by pair, and so on: all
//! additions of a round are independent and share one inversion. The same holds for the weighted sum
//! of the buckets, `sum_k k S_k = sum_l 2^l T_l`, where `T_l` is the sum of the `S_k` whose index has
//! bit `l`: in a binary tree over the buckets, the sum of the right children of level `l`.

use super::affine::{Arithmetic, Pair};
use super::limbs::Words;
use halo2curves::CurveAffine;
use rayon::prelude::*;
use std::ops::Range;

/// Points that are added up together: few enough for the second-level cache, enough to make up for
/// an inversion a round.
const BLOCK: usize = 1 << 13;

/// Words of a shifted scalar.
const WORDS: usize = 5;

/// A scalar's magnitude and sign, and the index of its point.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub magnitude: Words,
    pub negative: bool,
    pub index: u32,
}

/// Windows of `width` bits: digits `d` with `-2^(width - 1) < d <= 2^(width - 1)`, so that magnitudes
/// below `2^(width count - 1)` have them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub width: u32,
    pub count: u32,
}

impl Windows {
    /// The windows of the least cost for `terms` magnitudes of at most `bits` bits.
    pub(super) fn choose(terms: usize, bits: u32) -> Self {
        let windows = |width: u32| Windows {
            width,
            count: (bits + 1).div_ceil(width),
        };
        (2..=15)
            .map(windows)
            .min_by_key(|w| w.count as usize * (terms + 2 * w.buckets()))
            .unwrap_or(Windows { width: 2, count: 1 })
    }

    fn buckets(&self) -> usize {
        1 << (self.width - 1)
    }

    /// What is added to a magnitude, so that its digits are those of the sum minus
    /// `2^(width - 1) - 1`.
    fn shift(&self) -> [u64; WORDS] {
        let mut shift = [0; WORDS];
        let bits = (0..self.count).flat_map(|i| (0..self.width - 1).map(move |j| (i, j)));
        for bit in bits.map(|(i, j)| i * self.width + j) {
            if let Some(word) = shift.get_mut(bit as usize / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        shift
    }

    /// The digit of a shifted magnitude.
    #[inline(always)]
    fn digit(&self, shifted: &[u64; WORDS], window: u32) -> i32 {
        let bit = window * self.width;
        let (word, offset) = (bit as usize / 64, bit % 64);
        let low = shifted.get(word).copied().unwrap_or(0) >> offset;
        let high = shifted.get(word + 1).copied().unwrap_or(0);
        // Shifted twice, because a shift by 64 is none.
        let bits = low | high << (63 - offset) << 1;
        let half = 1u64 << (self.width - 1);
        (bits & (2 * half - 1)) as i32 - (half as i32 - 1)
    }
}

fn shifted(magnitude: &Words, shift: &[u64; WORDS]) -> [u64; WORDS] {
    let mut carry = false;
    std::array::from_fn(|i| {
        let word = magnitude.get(i).copied().unwrap_or(0);
        let (sum, first) = word.overflowing_add(shift[i]);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        carry = first || second;
        sum
    })
}

/// A run of points that are to be added up, at the front of which the sum is left.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    length: usize,
}

/// Memory that is used again.
struct Scratch<A: CurveAffine, R: Arithmetic<A>> {
    pairs: Vec<Pair>,
    additions: R::Scratch,
}

impl<A: CurveAffine, R: Arithmetic<A>> Default for Scratch<A, R> {
    fn default() -> Self {
        Scratch {
            pairs: Vec::new(),
            additions: R::Scratch::default(),
        }
    }
}

/// Adds up every run.
fn sum_runs<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    points: &mut [R::Point],
    runs: &mut [Run],
    scratch: &mut Scratch<A, R>,
) {
    loop {
        scratch.pairs.clear();
        for run in runs.iter() {
            let pairs = (0..run.length / 2).map(|i| Pair {
                from: (run.start + 2 * i) as u32,
                to: (run.start + i) as u32,
            });
            scratch.pairs.extend(pairs);
        }
        if scratch.pairs.is_empty() {
            return;
        }
        arithmetic.add_pairs(points, &scratch.pairs, &mut scratch.additions);
        for run in runs.iter_mut() {
            let half = run.length / 2;
            if run.length % 2 == 1 {
                points[run.start + half] = points[run.start + run.length - 1];
            }
            run.length -= half;
        }
    }
}

/// Bases, and sums of bases that stand for several.
pub(super) struct Points<'a, P> {
    pub bases: &'a [P],
    pub sums: Vec<P>,
}

/// A signed point: its index and its sign.
#[derive(Clone, Copy, Default)]
struct Entry(u32);

impl Entry {
    fn new(index: u32, negative: bool) -> Self {
        Entry(index << 1 | u32::from(negative))
    }

    #[inline(always)]
    fn point<A: CurveAffine, R: Arithmetic<A>>(
        self,
        arithmetic: &R,
        points: &Points<'_, R::Point>,
    ) -> R::Point {
        let index = (self.0 >> 1) as usize;
        let point = match points.bases.get(index) {
            Some(base) => base,
            None => &points.sums[index - points.bases.len()],
        };
        arithmetic.signed(point, self.0 & 1 == 1)
    }
}

/// The entries of one bucket.
#[derive(Clone, Copy)]
struct Bucket {
    slot: usize,
    start: usize,
    length: usize,
}

/// Signed points, sorted by bucket. Buckets are ascending and not empty.
#[derive(Default)]
struct Sorted {
    entries: Vec<Entry>,
    buckets: Vec<Bucket>,
}

impl Sorted {
    /// Appends entries by slot, in a counting sort: slots are below `slots`, and numbered from
    /// `first` on.
    fn append(
        &mut self,
        (first, slots): (usize, usize),
        items: impl Iterator<Item = (usize, Entry)> + Clone,
    ) {
        let mut ends = vec![0usize; slots];
        for (slot, _) in items.clone() {
            ends[slot] += 1;
        }
        let mut start = self.entries.len();
        for (slot, end) in ends.iter_mut().enumerate().filter(|(_, end)| **end > 0) {
            let length = *end;
            self.buckets.push(Bucket {
                slot: first + slot,
                start,
                length,
            });
            *end = start;
            start += length;
        }
        self.entries.resize(start, Entry::default());
        for (slot, entry) in items {
            let next = &mut ends[slot];
            self.entries[*next] = entry;
            *next += 1;
        }
    }
}

/// Sorts the terms by their digits in `windows`; the slots of the first window come first.
fn sort(terms: &[Term], layout: Windows, windows: Range<u32>) -> Sorted {
    let shift = layout.shift();
    let size = layout.buckets();
    let mut sorted = Sorted::default();
    let mut digits: Vec<i32> = Vec::with_capacity(terms.len());
    for (i, window) in windows.enumerate() {
        digits.clear();
        let digit = |term: &Term| layout.digit(&shifted(&term.magnitude, &shift), window);
        digits.extend(terms.iter().map(digit));
        let items = terms.iter().zip(&digits).filter(|(_, digit)| **digit != 0);
        let items = items.map(|(term, digit)| {
            let slot = digit.unsigned_abs() as usize - 1;
            (slot, Entry::new(term.index, term.negative ^ (*digit < 0)))
        });
        sorted.append((i * size, size), items);
    }
    sorted
}

/// Cuts buckets into blocks of about [`BLOCK`] entries, and long buckets into several.
fn blocks(buckets: &[Bucket]) -> Vec<Vec<Bucket>> {
    let mut blocks = Vec::new();
    let mut block = Vec::new();
    let mut size = 0;
    for bucket in buckets {
        for start in (0..bucket.length).step_by(BLOCK) {
            let length = BLOCK.min(bucket.length - start);
            if size + length > BLOCK {
                blocks.push(std::mem::take(&mut block));
                size = 0;
            }
            size += length;
            block.push(Bucket {
                slot: bucket.slot,
                start: bucket.start + start,
                length,
            });
        }
    }
    blocks.push(block);
    blocks
}

/// The sum of each bucket, with its slot; a bucket that was cut appears several times.
fn sum_buckets<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    points: &Points<'_, R::Point>,
    sorted: &Sorted,
) -> Vec<(usize, R::Point)> {
    let sum = |buckets: &Vec<Bucket>| {
        let mut runs = Vec::with_capacity(buckets.len());
        let size = buckets.iter().map(|bucket| bucket.length).sum();
        let mut gathered = Vec::with_capacity(size);
        for bucket in buckets {
            runs.push(Run {
                start: gathered.len(),
                length: bucket.length,
            });
            let entries = &sorted.entries[bucket.start..bucket.start + bucket.length];
            gathered.extend(entries.iter().map(|e| e.point(arithmetic, points)));
        }
        sum_runs(
            arithmetic,
            &mut gathered,
            &mut runs,
            &mut Scratch::default(),
        );
        let sums = buckets.iter().zip(runs);
        sums.map(|(bucket, run)| (bucket.slot, gathered[run.start]))
            .collect::<Vec<_>>()
    };
    let blocks = blocks(&sorted.buckets);
    let sums: Vec<Vec<_>> = blocks.par_iter().map(sum).collect();
    sums.concat()
}

/// Joins the terms of equal magnitude: their points are added up, which takes one addition instead of
/// one a window.
pub(super) fn merge_equal<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    points: &mut Points<'_, R::Point>,
    terms: Vec<Term>,
) -> Vec<Term> {
    let (mut unique, classes) = classify(&terms);
    if unique.len() == terms.len() {
        return terms;
    }
    let mut counts = vec![0u32; unique.len()];
    for class in &classes {
        counts[*class] += 1;
    }
    let mut sorted = Sorted::default();
    let items = terms.iter().zip(&classes);
    let items = items.filter(|(_, class)| counts[**class] > 1);
    let items = items.map(|(term, class)| (*class, Entry::new(term.index, term.negative)));
    sorted.append((0, unique.len()), items);
    let sums = sum_buckets(arithmetic, points, &sorted);
    let mut sums = spread(arithmetic, unique.len(), sums).into_iter();
    for (term, count) in unique.iter_mut().zip(&counts) {
        let sum = sums.next().unwrap_or(R::IDENTITY);
        if *count > 1 {
            term.index = (points.bases.len() + points.sums.len()) as u32;
            term.negative = false;
            points.sums.push(sum);
        }
    }
    unique
}

/// One term of each magnitude, and for each term which one is its like.
fn classify(terms: &[Term]) -> (Vec<Term>, Vec<usize>) {
    const FREE: u32 = u32::MAX;
    let bits = usize::BITS - terms.len().leading_zeros() + 1;
    let mut table = vec![FREE; 1 << bits];
    let mut unique: Vec<Term> = Vec::with_capacity(terms.len());
    let class = |term: &Term| {
        // Magnitudes of this size are spread well by a multiplicative hash of their low words.
        let hash = (term.magnitude[0] ^ term.magnitude[1]).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut place = (hash >> (u64::BITS - bits)) as usize;
        loop {
            let found = table[place];
            if found == FREE {
                table[place] = unique.len() as u32;
                unique.push(*term);
                return unique.len() - 1;
            }
            if unique[found as usize].magnitude == term.magnitude {
                return found as usize;
            }
            place = (place + 1) % table.len();
        }
    };
    let classes = terms.iter().map(class).collect();
    (unique, classes)
}

/// The sum of each slot, from sums of parts.
fn spread<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    slots: usize,
    mut sums: Vec<(usize, R::Point)>,
) -> Vec<R::Point> {
    let mut scratch = Scratch::default();
    let mut all = vec![R::IDENTITY; slots];
    // Parts of one slot are neighbours.
    while sums.windows(2).any(|w| w[0].0 == w[1].0) {
        let mut points: Vec<_> = sums.iter().map(|(_, point)| *point).collect();
        let mut runs: Vec<Run> = Vec::new();
        let mut slots: Vec<usize> = Vec::new();
        for (i, (slot, _)) in sums.iter().enumerate() {
            match runs.last_mut().filter(|_| slots.last() == Some(slot)) {
                Some(run) => run.length += 1,
                None => {
                    slots.push(*slot);
                    runs.push(Run {
                        start: i,
                        length: 1,
                    });
                }
            }
        }
        sum_runs(arithmetic, &mut points, &mut runs, &mut scratch);
        sums = slots
            .into_iter()
            .zip(runs)
            .map(|(slot, run)| (slot, points[run.start]))
            .collect();
    }
    for (slot, point) in sums {
        all[slot] = point;
    }
    all
}

/// The weighted sum of the buckets of each window, in the parts that [`window_sums`] describes.
fn weigh<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    mut sums: Vec<R::Point>,
    windows: usize,
) -> Vec<Vec<R::Point>> {
    let mut scratch = Scratch::<A, R>::default();
    let mut rights: Vec<R::Point> = Vec::with_capacity(sums.len());
    let mut runs = Vec::new();
    let mut size = sums.len() / windows.max(1);
    let mut levels = 0;
    while size > 1 {
        for window in sums.chunks(size) {
            runs.push(Run {
                start: rights.len(),
                length: size / 2,
            });
            rights.extend(window.iter().skip(1).step_by(2));
        }
        let pairs = (0..sums.len() / 2).map(|i| Pair {
            from: 2 * i as u32,
            to: i as u32,
        });
        scratch.pairs.clear();
        scratch.pairs.extend(pairs);
        arithmetic.add_pairs(&mut sums, &scratch.pairs, &mut scratch.additions);
        sums.truncate(windows * size / 2);
        size /= 2;
        levels += 1;
    }
    sum_runs(arithmetic, &mut rights, &mut runs, &mut scratch);
    let window = |(w, root): (usize, &R::Point)| {
        let parts = (0..levels).map(|l| rights[runs[l * windows + w].start]);
        [*root].into_iter().chain(parts).collect()
    };
    sums.iter().enumerate().map(window).collect()
}

/// The sum of each window, from the least significant, as a list: first `sum_k S_k`, of weight one,
/// then `T_l`, of weights `2^l`. Slot `k` holds the digits of magnitude `k + 1`.
pub(super) fn window_sums<A: CurveAffine, R: Arithmetic<A>>(
    arithmetic: &R,
    points: &Points<'_, R::Point>,
    terms: &[Term],
    layout: Windows,
) -> Vec<Vec<R::Point>> {
    let buckets = layout.buckets();
    // Windows of few terms share their inversions.
    let together = (BLOCK / (terms.len() + buckets)).clamp(1, layout.count as usize);
    let starts: Vec<u32> = (0..layout.count).step_by(together).collect();
    let sum = |start: &u32| {
        let windows = *start..(start + together as u32).min(layout.count);
        let slots = windows.len() * buckets;
        let sorted = sort(terms, layout, windows);
        let sums = sum_buckets(arithmetic, points, &sorted);
        spread(arithmetic, slots, sums)
    };
    let sums: Vec<Vec<R::Point>> = starts.par_iter().map(sum).collect();
    let sums = sums.concat();
    // So do the weighted sums of windows, in a task or two a thread.
    let tasks = 2 * rayon::current_num_threads();
    let together = (layout.count as usize).div_ceil(tasks);
    let windows: Vec<Vec<_>> = sums
        .par_chunks(together * buckets)
        .map(|sums| weigh(arithmetic, sums.to_vec(), sums.len() / buckets))
        .collect();
    windows.concat()
}
