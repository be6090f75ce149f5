#[path = "solution.rs"] mod solution;
const _: fn(TL_TAKES) -> TL_RETURNS = solution::TL_NAME;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, Read, Seek, Write};

type Lines = std::io::Lines<std::io::BufReader<std::fs::File>>;
extern "C" { fn dup(fd: i32) -> i32; fn dup2(from: i32, to: i32) -> i32; }

fn token(lines: &mut Lines) -> String { lines.next().unwrap().unwrap() }

trait In: Sized { fn read(lines: &mut Lines) -> Self; }
impl In for i64 { fn read(lines: &mut Lines) -> Self { token(lines).parse().unwrap() } }
impl In for f64 { fn read(lines: &mut Lines) -> Self { token(lines).parse().unwrap() } }
impl In for bool { fn read(lines: &mut Lines) -> Self { token(lines) == "1" } }
impl In for String { fn read(lines: &mut Lines) -> Self {
    let hex = token(lines);
    let bytes = (1..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    String::from_utf8(bytes).unwrap()
} }
impl<T: In> In for Option<T> { fn read(lines: &mut Lines) -> Self { if bool::read(lines) { Some(T::read(lines)) } else { None } } }
impl<T: In> In for Vec<T> { fn read(lines: &mut Lines) -> Self { let n = i64::read(lines); (0..n).map(|_| T::read(lines)).collect() } }
impl<T: In> In for HashMap<String, T> { fn read(lines: &mut Lines) -> Self {
    let n = i64::read(lines); (0..n).map(|_| { let key = String::read(lines); (key, T::read(lines)) }).collect()
} }

trait Out { fn write(&self, to: &mut String); }
impl Out for i64 { fn write(&self, to: &mut String) { let _ = write!(to, "{}", self); } }
impl Out for f64 { fn write(&self, to: &mut String) { if self.is_finite() { let _ = write!(to, "{:?}", self); } else { to.push_str("\"not a number\""); } } }
impl Out for bool { fn write(&self, to: &mut String) { to.push_str(if *self { "true" } else { "false" }); } }
impl Out for String { fn write(&self, to: &mut String) {
    to.push('"');
    for c in self.chars() {
        match c { '"' | '\\' => { to.push('\\'); to.push(c); }, c if (c as u32) < 32 => { let _ = write!(to, "\\u{:04x}", c as u32); }, c => to.push(c) }
    }
    to.push('"');
} }
impl<T: Out> Out for Option<T> { fn write(&self, to: &mut String) { match self { Some(v) => v.write(to), None => to.push_str("null") } } }
impl<T: Out> Out for Vec<T> { fn write(&self, to: &mut String) {
    to.push('[');
    for (i, v) in self.iter().enumerate() { if i > 0 { to.push(','); } v.write(to); }
    to.push(']');
} }
impl<T: Out> Out for HashMap<String, T> { fn write(&self, to: &mut String) {
    to.push('{');
    for (i, (k, v)) in self.iter().enumerate() { if i > 0 { to.push(','); } k.write(to); to.push(':'); v.write(to); }
    to.push('}');
} }

fn main() {
    use std::os::unix::io::{AsRawFd, FromRawFd};
    let mut out = unsafe { std::fs::File::from_raw_fd(dup(1)) };
    let mut printed = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(std::env::temp_dir().join("printed")).unwrap();
    unsafe { dup2(printed.as_raw_fd(), 1); }
    let mut lines = std::io::BufReader::new(std::fs::File::open("input").unwrap()).lines();
    std::panic::set_hook(Box::new(|problem| {
        let line = problem.location().filter(|l| l.file().ends_with("solution.rs")).map(|l| l.line()).unwrap_or(0);
        LAST.with(|last| *last.borrow_mut() = line);
    }));
    let count = i64::read(&mut lines);
    for number in 0..count {
        TL_READS
        writeln!(out, "{}{{\"begin\":{}}}", TL_NONCE, number).unwrap();
        let started = std::time::Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || TL_CALL));
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        let mut answer = format!("{{\"case\":{},\"ms\":{:.2}", number, ms);
        match result {
            Ok(value) => { answer.push_str(",\"value\":"); value.write(&mut answer); }
            Err(problem) => {
                let said = problem.downcast_ref::<String>().cloned().or(problem.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
                answer.push_str(",\"error\":{\"type\":\"panic\",\"message\":"); said.write(&mut answer);
                match LAST.with(|last| *last.borrow()) {
                    0 => answer.push_str(",\"trace\":[]}"),
                    line => { let _ = write!(answer, ",\"trace\":[\"line {}\"]}}", line); }
                }
            }
        }
        let _ = std::io::stdout().flush();
        let mut said = Vec::new();
        printed.seek(std::io::SeekFrom::Start(0)).unwrap();
        let _ = (&mut printed).take(4000).read_to_end(&mut said);
        printed.set_len(0).unwrap();
        printed.seek(std::io::SeekFrom::Start(0)).unwrap();
        answer.push_str(",\"stdout\":");
        String::from_utf8_lossy(&said).into_owned().write(&mut answer);
        writeln!(out, "{}{}}}", TL_NONCE, answer).unwrap();
    }
}
thread_local! { static LAST: std::cell::RefCell<u32> = std::cell::RefCell::new(0); }
