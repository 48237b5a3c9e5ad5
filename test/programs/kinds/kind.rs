// SPDX-License-Identifier: BSD-3-Clause
// Rust: threads, channels, a panic that is caught.  As worker.c otherwise.
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{mpsc, Arc, Mutex};
use std::{fs, panic, path, process, thread, time};

const ROUNDS: u64 = 100;

fn mix(value: u64) -> u64 {
    (value ^ value >> 29).wrapping_mul(0xbf58476d1ce4e5b9)
}

fn compute(mut seed: u64) -> u64 {
    for i in 0..4000000 {
        seed = mix(seed.wrapping_add(i));
    }
    if seed % 3 == 0 {
        panic!("{}", seed);
    }
    seed
}

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let mut out = fs::File::create("out.0").unwrap();
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let own = process::id();
    let mut state = 1;
    for round in 1..=ROUNDS {
        let (sender, receiver) = mpsc::channel();
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let (sender, seen) = (sender.clone(), seen.clone());
                thread::spawn(move || {
                    let caught = panic::catch_unwind(|| compute(state + i)).unwrap_or(7);
                    *seen.lock().unwrap().entry(caught % 5).or_insert(0) += 1;
                    sender.send(caught).unwrap();
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        state = mix((0..3).fold(state, |sum, _| sum.wrapping_add(receiver.recv().unwrap())));
        writeln!(out, "{} {:016x} {:?} {}", round, state, seen.lock().unwrap(), own == process::id()).unwrap();
    }
    while !path::Path::new("finish").exists() {
        thread::sleep(time::Duration::from_millis(2));
    }
}
