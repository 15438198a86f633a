// SPDX-License-Identifier: Apache-2.0
//
// Rust's fd-lock, as a program that times itself: see README.md beside the Peers folder for the protocol.
use fd_lock::RwLock;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::time::Instant;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

// CLOCK_MONOTONIC, which every process of the machine shares.
fn monotonic() -> i64 {
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(1, &mut now) };
    now.seconds * 1_000_000_000 + now.nanoseconds
}

fn open(path: &str) -> io::Result<RwLock<File>> {
    Ok(RwLock::new(OpenOptions::new().read(true).write(true).create(true).open(path)?))
}

fn main() -> io::Result<()> {
    println!("fd-lock {}", option_env!("FD_LOCK_VERSION").unwrap_or("of an unknown version"));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let (count, path) = (words[2].parse::<u64>().unwrap_or(1), words[3]);
        let answer = match words[0] {
            "lock" => {
                let start = Instant::now();
                for _ in 0..count {
                    let mut lock = open(path)?;
                    drop(lock.write()?);
                }
                start.elapsed().as_nanos() as i64
            }
            work => {
                let lock = Box::leak(Box::new(open(path)?));
                let guard = lock.write()?;
                let granted = monotonic();
                if work == "hold" {
                    std::mem::forget(guard);
                }
                granted
            }
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(())
}
