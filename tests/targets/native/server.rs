// SPDX-License-Identifier: Apache-2.0
// A Rust program as most are: values that a panic would have to drop, closures, trait objects, a
// panic that is caught now and then, in two threads. Writes a line when set up.
use std::collections::HashMap;
use std::hint::black_box;

trait Shape {
    fn area(&self, n: u64) -> u64;
}

struct Square(String);

impl Shape for Square {
    #[inline(never)]
    fn area(&self, n: u64) -> u64 {
        let v = vec![n; 16];
        spin(n) + v.len() as u64 + self.0.len() as u64
    }
}

#[inline(never)]
fn spin(n: u64) -> u64 {
    (0..3000).fold(n, |x, _| black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1)))
}

#[inline(never)]
fn with_drop(n: u64) -> u64 {
    let text = format!("some text {n}");
    let shape: Box<dyn Shape> = Box::new(Square(text.clone()));
    shape.area(n).wrapping_add(text.len() as u64)
}

#[inline(never)]
fn catches(n: u64) -> u64 {
    let r = std::panic::catch_unwind(|| if n % 64 == 0 { panic!("now and then") } else { n });
    with_drop(r.unwrap_or(0))
}

#[inline(never)]
fn by_closure(n: u64) -> u64 {
    let mut m: HashMap<u64, String> = HashMap::new();
    m.insert(n, n.to_string());
    m.values().map(|s| with_drop(s.len() as u64)).fold(0, u64::wrapping_add)
}

#[inline(never)]
fn work(f: fn(u64) -> u64) {
    let mut n = 0u64;
    loop {
        n = n.wrapping_add(1);
        black_box(f(n));
    }
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::spawn(|| work(by_closure));
    println!("ready");
    work(catches);
}
