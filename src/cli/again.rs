//! The line to paste that reproduces a failure: right for the test or the binary that found it.

use crate::explore::Strategy;
use std::env;
use std::ffi::OsString;
use std::path::Path;

/// The line that runs this seed again, under this strategy, in the test that calls this.
pub(crate) fn in_test(strategy: Strategy, seed: u64) -> String {
    let strategy = match strategy {
        Strategy::Time => String::new(),
        other => format!("NETSPLIT_STRATEGY={other} "),
    };
    format!("{strategy}{}", of_seed(seed))
}

fn of_seed(seed: u64) -> String {
    let exe = env::current_exe().unwrap_or_default();
    let name = test_name();
    let filter = name.as_ref().map(|name| format!(" {name}"));
    let filter = filter.unwrap_or_default();
    let exact = if filter.is_empty() { "" } else { " --exact" };
    let Some(package) = variable("CARGO_PKG_NAME") else {
        let exe = quoted(&exe.display().to_string());
        return format!("NETSPLIT_SEED={seed} {exe}{filter}{exact} --nocapture");
    };
    let target = target(&exe, &package);
    format!("NETSPLIT_SEED={seed} cargo test -p {package} {target}{filter} --{exact} --nocapture")
}

/// The beginning of a line that calls this binary again.
#[cfg(feature = "cli")]
pub(crate) fn this_binary() -> String {
    let exe = env::current_exe().unwrap_or_default();
    if variable("CARGO").is_none() {
        let called = words().next();
        return quoted(&called.unwrap_or_else(|| exe.display().to_string()));
    }
    let stem = stem(&exe);
    let in_examples = exe
        .parent()
        .is_some_and(|parent| parent.ends_with("examples"));
    let target = if in_examples {
        format!(" --example {stem}")
    } else if variable("CARGO_PKG_NAME").is_some_and(|package| package == stem) {
        String::new()
    } else {
        format!(" --bin {stem}")
    };
    format!("cargo run --release{target} --")
}

/// The test's name: its thread has it, or, where tests run on the main thread, the arguments.
fn test_name() -> Option<String> {
    let thread = std::thread::current();
    if let Some(name) = thread.name().filter(|name| *name != "main") {
        return Some(name.to_owned());
    }
    let mut names = words()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let exact = words().any(|argument| argument == "--exact");
    names.next().filter(|_| exact)
}

/// How cargo is told which target this executable is.
fn target(exe: &Path, package: &str) -> String {
    let stem = stem(exe);
    let name = match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && is_hex(hash) => name,
        _ => &stem,
    };
    let folder = variable("CARGO_MANIFEST_DIR").unwrap_or_default();
    let has = |path: String| Path::new(&folder).join(path).exists();
    let crate_name = package.replace('-', "_");
    if name == "rust_out" {
        "--doc".to_owned()
    } else if has(format!("tests/{name}.rs")) || has(format!("tests/{name}/main.rs")) {
        format!("--test {name}")
    } else if name == crate_name && has("src/lib.rs".to_owned()) {
        "--lib".to_owned()
    } else if name == crate_name || has(format!("src/bin/{name}.rs")) {
        let bin = if name == crate_name { package } else { name };
        format!("--bin {bin}")
    } else {
        format!("--test {name}")
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn stem(exe: &Path) -> String {
    let stem = exe.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The arguments of this program, its name first.
#[allow(
    clippy::disallowed_methods,
    reason = "the one floor that reads the arguments"
)]
pub(crate) fn arguments() -> impl Iterator<Item = OsString> {
    env::args_os()
}

fn words() -> impl Iterator<Item = String> {
    arguments().map(|word| word.to_string_lossy().into_owned())
}

/// The value of a variable of the environment; none where it is empty.
#[allow(
    clippy::disallowed_methods,
    reason = "the one floor that reads the environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_of_cargo_names_its_target() {
        let folder = Path::new("target/debug/deps");
        let target = |file: &str| target(&folder.join(file), "netsplit");
        assert_eq!(target("floors-0123456789abcdef"), "--test floors");
        assert_eq!(target("netsplit-0123456789abcdef"), "--lib");
        assert_eq!(target("gone-0123456789abcdef"), "--test gone");
        assert_eq!(target("floors-by-hand"), "--test floors-by-hand");
        assert_eq!(target("rust_out"), "--doc");
    }

    #[test]
    fn the_line_of_a_test_has_its_name() {
        let line = in_test(Strategy::Time, 311);
        assert!(line.starts_with("NETSPLIT_SEED=311 "), "{line}");
        let name = "cli::again::tests::the_line_of_a_test_has_its_name";
        assert!(line.contains(name), "{line}");
        let line = in_test(Strategy::Walk, 311);
        let both = "NETSPLIT_STRATEGY=walk NETSPLIT_SEED=311 ";
        assert!(line.starts_with(both), "{line}");
    }

    #[test]
    fn a_word_with_a_space_is_quoted() {
        assert_eq!(quoted("supe/duplicate_ack"), "supe/duplicate_ack");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
