//! A test of the source: floors, `unsafe`, environment, sizes, first lines.
//!
//! A folder under `src/` is a floor; it may import only floors above it, and of these only what
//! [`FLOORS`] grants. The checkers are functions over a path and a text, so that tests can plant
//! what must be found. They read tokens, not syntax trees: comments and literals are blanked out
//! before anything is searched, `use` groups are unfolded, `super` is followed through files and
//! inline modules. What a macro makes of a string (`#[serde(with = "crate::x")]`) is not seen.

use std::fs;
use std::path::Path;

/// Models take now and draws, and return effects: of `trace` they know ids and codes, no events.
const MODEL: &str = "choice kernel::time trace::Broken trace::DeadReason trace::DiskFault \
    trace::FileReason trace::Limit trace::MessageId trace::NodeId trace::PacketKind trace::Pid \
    trace::Reason trace::TextId";

/// The floors from the top down (see `docs/ARCHITECTURE.md`), and what each may import: `*` is all
/// that stands above it.
const FLOORS: &[(&str, &str)] = &[
    ("choice", "*"),
    ("trace", "*"),
    ("kernel", "*"),
    ("process", "*"),
    ("net", MODEL),
    ("disk", MODEL),
    // Actor code can't tell simulation from life.
    ("otp", "choice trace kernel process"),
    ("mail", "choice trace kernel process otp"),
    // Checkers take histories and traces, never the system.
    ("check", "choice trace kernel::time"),
    ("sim", "*"),
    ("explore", "*"),
    ("report", "*"),
    ("cli", "*"),
];

/// The crate's root gathers the public names of all floors.
const ROOT_FILE: &str = "src/lib.rs";
/// Files in which `unsafe` may appear. The waker's tests run under valgrind in `.ci/run`; the test of
/// allocations hands every call on to the system's allocator.
const UNSAFE_FILES: &[&str] = &["src/kernel/waker.rs", "tests/allocations.rs"];
/// The one folder that reads the environment and the arguments.
const ENVIRONMENT_FOLDER: &str = "src/cli/";
/// Lines in a file. The style asks for about 600; here it ends.
const FILE_LINES_MAX: usize = 700;
/// Columns in a line. The style asks for 100, which rustfmt keeps where it can; here it ends.
const LINE_COLUMNS_MAX: usize = 110;
/// Floors that stand empty as yet.
const NOT_BUILT: &[&str] = &[];
/// Fewer files under `src/` mean that the walk went wrong: one a floor, and the root.
const SOURCE_FILES_MIN: usize = 14;

/// A file: its path from the project's root, with `/`, and its text.
type Source = (String, String);
/// What is wrong, and on which line.
type Complaint = (usize, String);
/// What is wrong with a file, by its path and text.
type Checker = fn(&str, &str) -> Vec<Complaint>;

// --- The checkers -----------------------------------------------------------------------------

/// Imports that the table does not grant.
fn upward_imports(path: &str, text: &str) -> Vec<Complaint> {
    if path == ROOT_FILE {
        return Vec::new();
    }
    let module = module_of(path);
    let Some(floor) = place(module[0]) else {
        return vec![(1, format!("`{}` is not in the table of floors", module[0]))];
    };
    let code = masked(text);
    let tokens = tokens(&code);
    let mut complaints = Vec::new();
    for window in tokens.windows(4) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at: usize| window[at].text);
        if [a, b, c, d] == ["#", "[", "path", "="] || [a, b, c] == ["include", "!", "("] {
            let complaint = format!("`{a}{b}{c}` can bring in a file of another floor");
            complaints.push((window[0].line, complaint));
        }
    }
    let found = paths(&module, &tokens);
    complaints.extend(found.iter().filter_map(|path| refusal(floor, path)));
    complaints.sort();
    complaints
}

/// Why a path may not stand on this floor, and the line where it says what it wants.
fn refusal(floor: usize, path: &[Token<'_>]) -> Option<Complaint> {
    let (name, granted) = FLOORS[floor];
    let wanted: Vec<&str> = path[1..].iter().map(|step| step.text).collect();
    let first = wanted.first().copied().unwrap_or("*");
    let complaint = match (path[0].text, place(first)) {
        ("std", _) => return None,
        (_, None) if ["*", "self"].contains(&first) => {
            "imports the whole crate, which hides the floor".to_owned()
        }
        // An exported macro runs in other crates, which may see no names but the root's.
        ("$crate", None) => return None,
        (_, None) => format!("imports `{first}` from the crate's root: name its floor"),
        (_, Some(target)) if target == floor => return None,
        (_, Some(target)) if target > floor => format!("imports `{first}`, which stands below it"),
        (_, Some(_)) => ungranted(granted, &wanted)?,
    };
    let line = path.get(1).unwrap_or(&path[0]).line;
    Some((line, format!("`{name}` {complaint}")))
}

/// Why a path to a floor above is not among those granted.
fn ungranted(granted: &str, wanted: &[&str]) -> Option<String> {
    let grants: Vec<Vec<&str>> = granted
        .split(' ')
        .map(|path| path.split("::").collect())
        .collect();
    if granted == "*" || grants.iter().any(|path| wanted.starts_with(path)) {
        return None;
    }
    let of_floor = grants.iter().filter(|path| path[0] == wanted[0]);
    let names: Vec<String> = of_floor.map(|path| path.join("::")).collect();
    if names.is_empty() {
        return Some(format!("imports `{}`, which it must not know", wanted[0]));
    }
    let (all, names) = (wanted.join("::"), names.join("`, `"));
    Some(format!("imports `{all}`, and may know only `{names}`"))
}

/// The word `unsafe`.
fn unsafe_words(_: &str, text: &str) -> Vec<Complaint> {
    let code = masked(text);
    let mut words = tokens(&code);
    words.retain(|token| token.text == "unsafe");
    let complaint = "`unsafe` outside the files that may have it";
    let complain = |word: &Token<'_>| (word.line, complaint.to_owned());
    words.iter().map(complain).collect()
}

/// Paths into `std::env` outside the folder that may read it.
fn environment_reads(path: &str, text: &str) -> Vec<Complaint> {
    if path.starts_with(ENVIRONMENT_FOLDER) {
        return Vec::new();
    }
    let code = masked(text);
    let mut reads = paths(&module_of(path), &tokens(&code));
    reads.retain(|steps| steps.len() > 1 && steps[0].text == "std" && steps[1].text == "env");
    let complain = |steps: &Vec<Token<'_>>| (steps[1].line, "`std::env` outside `cli`".to_owned());
    reads.iter().map(complain).collect()
}

/// Too many lines, or too many columns in one.
fn excess(_: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (line, columns) in (1..).zip(text.lines().map(|line| line.chars().count())) {
        if columns > LINE_COLUMNS_MAX {
            let complaint = format!("{columns} columns, of {LINE_COLUMNS_MAX} at most");
            complaints.push((line, complaint));
        }
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push((lines, format!("{lines} lines, of {FILE_LINES_MAX} at most")));
    }
    complaints
}

/// A first line that does not say what the file owns.
fn missing_opening(_: &str, text: &str) -> Vec<Complaint> {
    if text.starts_with("//!") {
        return Vec::new();
    }
    vec![(1, "does not open with `//!`".to_owned())]
}

// --- Reading paths ----------------------------------------------------------------------------

/// A word, a `::`, or one character of punctuation.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The place of a floor in the table, 0 at the top.
fn place(name: &str) -> Option<usize> {
    FLOORS.iter().position(|(floor, _)| *floor == name)
}

/// The module of a file: `src/kernel/waker.rs` is `["kernel", "waker"]`.
fn module_of(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').collect()
}

/// All paths that begin in the crate or in `std`, groups unfolded. The first token of each is its
/// root (`crate`, `$crate` or `std`), whatever was written.
fn paths<'a>(file: &[&'a str], tokens: &[Token<'a>]) -> Vec<Vec<Token<'a>>> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let before = |at: usize, back: usize| at.checked_sub(back).map_or("", text);
    let mut found = Vec::new();
    // One entry for each open brace: the name where it opens an inline module.
    let mut braces: Vec<Option<&str>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts_path = match text(at) {
            // `netsplit` is the crate's own name, should it be brought in by `extern crate self`.
            "crate" | "super" | "netsplit" | "std" => ["::", "as"].contains(&text(at + 1)),
            "self" => text(at + 1) == "::",
            _ => false,
        };
        // `pub(in crate::x)` names who may see, not what is imported.
        let is_visibility = [before(at, 3), before(at, 2), before(at, 1)] == ["pub", "(", "in"];
        if starts_path && !is_visibility {
            let by_macro = before(at, 1) == "$";
            let inline = braces.iter().flatten().copied();
            let module: Vec<&str> = file.iter().copied().chain(inline).collect();
            let mut leaves = Vec::new();
            at = read_path(tokens, at, Vec::new(), &mut leaves);
            found.extend(leaves.iter().map(|leaf| from_root(&module, leaf, by_macro)));
            continue;
        }
        match text(at) {
            "{" => braces.push((before(at, 2) == "mod").then(|| before(at, 1))),
            "}" => drop(braces.pop()),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads the path that begins at `at`, unfolds its groups into `leaves`, and answers where it ends.
fn read_path<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    mut steps: Vec<Token<'a>>,
    leaves: &mut Vec<Vec<Token<'a>>>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    if text(at) == "{" {
        at += 1;
        while at < tokens.len() && text(at) != "}" {
            at = read_path(tokens, at, steps.clone(), leaves);
            // Past `as other_name`, to the next item.
            while at < tokens.len() && ![",", "}"].contains(&text(at)) {
                at += 1;
            }
            at += usize::from(text(at) == ",");
        }
        return at + 1;
    }
    if text(at).starts_with(is_word_part) || text(at) == "*" {
        steps.push(tokens[at]);
        at += 1;
        if text(at) == "::" {
            return read_path(tokens, at + 1, steps, leaves);
        }
    }
    leaves.push(steps);
    at
}

/// Turns a path as it is written in `module` into one from the root.
fn from_root<'a>(module: &[&'a str], written: &[Token<'a>], by_macro: bool) -> Vec<Token<'a>> {
    let Token { text: head, line } = written[0];
    let supers = written[1..].iter().take_while(|step| step.text == "super");
    let ups = supers.count();
    let base = match head {
        "self" => &module[..module.len().saturating_sub(ups)],
        "super" => &module[..module.len().saturating_sub(ups + 1)],
        _ => &[],
    };
    let root = match head {
        "std" => "std",
        _ if by_macro => "$crate",
        _ => "crate",
    };
    let resolved = [root].into_iter().chain(base.iter().copied());
    let resolved = resolved.map(|text| Token { text, line });
    resolved.chain(written[1 + ups..].iter().copied()).collect()
}

// --- Reading code -----------------------------------------------------------------------------

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts masked code into tokens.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (code, 1);
    while let Some(first) = rest.chars().next() {
        let length = match rest.find(|c| !is_word_part(c)).unwrap_or(rest.len()) {
            0 if rest.starts_with("::") => 2,
            0 => first.len_utf8(),
            word => word,
        };
        let (text, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(Token { text, line });
        }
        line += usize::from(first == '\n');
        rest = after;
    }
    tokens
}

/// The code with every comment, string and character literal blanked out; lines keep their numbers.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_word_part(c)).unwrap_or(rest.len());
        let blank = match first {
            _ if word > 0 => raw_string(rest, word),
            '/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => Some(block_comment(rest)),
            '"' => Some(quoted(rest, '"')),
            '\'' if is_character(rest) => Some(quoted(rest, '\'')),
            _ => None,
        };
        let length = blank.unwrap_or(word.max(first.len_utf8()));
        let (part, after) = rest.split_at(length);
        if blank.is_some() {
            out.push(' ');
            out.extend(part.chars().filter(|c| *c == '\n'));
        } else {
            out.push_str(part);
        }
        rest = after;
    }
    out
}

/// The length of the raw string that begins with this word, if one does (`r#name` is none).
fn raw_string(text: &str, word: usize) -> Option<usize> {
    let (prefix, rest) = text.split_at(word);
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !["r", "br", "cr"].contains(&prefix) || !rest[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", &rest[..hashes]);
    let start = word + hashes + 1;
    let length = text[start..].find(&end).map(|at| at + end.len());
    Some(length.map_or(text.len(), |length| start + length))
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < bytes.len() {
        (at, depth) = match &bytes[at..] {
            [b'/', b'*', ..] => (at + 2, depth + 1),
            [b'*', b'/', ..] => (at + 2, depth - 1),
            _ => (at + 1, depth),
        };
    }
    at
}

/// The length of a literal from its opening quote to its closing one.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// Whether a quote begins a character literal; otherwise it begins a lifetime or a label.
fn is_character(text: &str) -> bool {
    let mut after = text.chars().skip(1);
    after.next() == Some('\\') || after.next() == Some('\'')
}

// --- The real tree ----------------------------------------------------------------------------

/// All `.rs` files under a folder of the project, sorted; none where there is no such folder.
fn rust_files(folder: &str) -> Vec<Source> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries.map(|entry| entry.expect("the folder can be read")) {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files.extend(rust_files(&path));
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("the file is UTF-8");
            files.push((path, text));
        }
    }
    files.sort();
    files
}

/// Every complaint about these files, as it is printed.
fn complaints(check: Checker, sources: &[Source]) -> Vec<String> {
    let mut printed = Vec::new();
    for (path, text) in sources {
        let found = check(path, text).into_iter();
        printed.extend(found.map(|(line, complaint)| format!("{path}:{line}: {complaint}")));
    }
    printed
}

/// Demands that there is no complaint about the files of these folders, but for those excepted.
#[track_caller]
fn passes(check: Checker, folders: &[&str], except: &[&str]) {
    let mut sources: Vec<Source> = folders.iter().copied().flat_map(rust_files).collect();
    sources.retain(|(path, _)| !except.contains(&path.as_str()));
    assert!(!sources.is_empty(), "no files under {folders:?}");
    let found = complaints(check, &sources);
    let count = found.len();
    assert!(count == 0, "{count} found\n{}", found.join("\n"));
}

#[test]
fn every_import_goes_up() {
    passes(upward_imports, &["src"], &[]);
}

#[test]
fn the_walk_saw_every_floor_and_imports_between_them() {
    let sources = rust_files("src");
    let count = sources.len();
    assert!(count >= SOURCE_FILES_MIN, "only {count} files under src/");
    for (floor, _) in FLOORS {
        let mut modules = sources.iter().map(|(path, _)| module_of(path));
        let built = !NOT_BUILT.contains(floor);
        assert_eq!(
            modules.any(|m| m[0] == *floor),
            built,
            "src/{floor}/, and the list of empty floors"
        );
    }
    let mut crossings = 0;
    for (path, text) in sources.iter().filter(|(path, _)| path != ROOT_FILE) {
        let (module, code) = (module_of(path), masked(text));
        let mut found = paths(&module, &tokens(&code));
        found.retain(|path| path.len() > 1 && path[0].text == "crate" && path[1].text != module[0]);
        crossings += found.len();
    }
    assert!(crossings > 0, "no import of another floor was seen");
}

#[test]
fn unsafe_stands_only_in_named_files() {
    let folders = ["src", "scenarios", "tests", "benches"];
    passes(unsafe_words, &folders, UNSAFE_FILES);
    let sources: Vec<Source> = folders.into_iter().flat_map(rust_files).collect();
    for name in UNSAFE_FILES {
        let named = sources.iter().filter(|(path, _)| path == name);
        let words: usize = named
            .map(|(path, text)| unsafe_words(path, text).len())
            .sum();
        assert!(words > 0, "{name} has no `unsafe`: take it off the list");
    }
}

#[test]
fn only_cli_reads_the_environment() {
    passes(environment_reads, &["src", "scenarios"], &[]);
}

#[test]
fn files_and_lines_keep_their_limits() {
    passes(excess, &["src", "scenarios", "tests"], &[]);
}

#[test]
fn every_file_says_first_what_it_owns() {
    passes(missing_opening, &["src"], &[]);
}

// --- What is planted is found -----------------------------------------------------------------

/// Demands of a checker what the text says behind `//~` of each line, and nothing else.
#[track_caller]
fn planted(check: Checker, path: &str, text: &str) {
    let mut expected = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let behind = text.split("//~ ").skip(1);
        expected.extend(behind.map(|complaint| (line, complaint.trim().to_owned())));
    }
    assert_eq!(check(path, text), expected, "in {path}:\n{text}");
}

/// Demands the complaints behind `//~` of the imports in a file.
#[track_caller]
fn imports(path: &str, text: &str) {
    planted(upward_imports, path, text);
}

#[test]
fn a_complaint_names_file_line_and_edge() {
    let (path, text) = ("src/kernel/x.rs", "//! x\n\nuse crate::process::Pid;\n");
    let named = "src/kernel/x.rs:3: `kernel` imports `process`, which stands below it";
    let found = complaints(upward_imports, &[(path.to_owned(), text.to_owned())]);
    assert_eq!(found, [named]);
}

#[test]
fn upward_imports_are_named() {
    let text = r##"
        use crate::process::Pid; //~ `kernel` imports `process`, which stands below it
        pub use crate::process; //~ `kernel` imports `process`, which stands below it
        use netsplit::process::Pid; //~ `kernel` imports `process`, which stands below it
        use crate::{trace, process::Pid}; //~ `kernel` imports `process`, which stands below it
        use {std::fmt, crate::process}; //~ `kernel` imports `process`, which stands below it
        use crate::{
            choice::{self, Site as Place, tape::{Edit, Tape}},
            process::{exit::*}, //~ `kernel` imports `process`, which stands below it
            sim as s, //~ `kernel` imports `sim`, which stands below it
        };
        use crate
            ::cli::Arguments; //~ `kernel` imports `cli`, which stands below it
        fn f() { let a = crate::otp::f::<u8>(); } //~ `kernel` imports `otp`, which stands below it
        fn f(x: <crate::mail::P as T>::X) {} //~ `kernel` imports `mail`, which stands below it
        fn f() { for x in crate::net::f() {} } //~ `kernel` imports `net`, which stands below it
        macro_rules! m {
            () => { $crate::disk::f() } //~ `kernel` imports `disk`, which stands below it
        }
    "##;
    imports("src/kernel/x.rs", text);
}

#[test]
fn super_is_followed_to_the_root() {
    let text = r##"
        use super::super::process::Pid; //~ `kernel` imports `process`, which stands below it
        use self::super::super::{choice, sim}; //~ `kernel` imports `sim`, which stands below it
        use super::process::X;
        use self::sim::Y;
        mod tests {
            use super::super::super::process; //~ `kernel` imports `process`, which stands below it
            use super::super::process;
            fn f() { loop {} }
            use super::*;
        }
        mod a { mod b {} fn f() {} }
        use super::process;
    "##;
    imports("src/kernel/x.rs", text);
    let text = "use super::process; //~ `kernel` imports `process`, which stands below it";
    imports("src/kernel/mod.rs", text);
    let text = "use super::super::super::net; //~ `kernel` imports `net`, which stands below it";
    imports("src/kernel/a/b.rs", text);
}

#[test]
fn comments_literals_and_visibility_are_no_imports() {
    let text = r###"
        //! [`crate::process`]
        /// use crate::process;
        // use crate::process;
        /* /* crate::process */ crate::process */
        pub(in crate::process) fn f() {}
        pub(crate) fn f() {}
        const A: &str = "crate::process \" crate::process";
        const A: &str = r#"crate::process " crate::process"#;
        const A: &[u8] = b"crate::process\\";
        const A: &[u8] = br"\";
        const A: &str = "crate::process
            crate::process";
        const A: char = '"';
        fn f<'a>(r#in: &'a str, c: char) -> bool { c == '\'' || c == '\u{22}' }
        use crate::process; //~ `kernel` imports `process`, which stands below it
        // ' "
    "###;
    imports("src/kernel/x.rs", text);
}

#[test]
fn what_hides_the_floor_is_named() {
    let text = r##"
        use crate::*; //~ `kernel` imports the whole crate, which hides the floor
        use crate as c; //~ `kernel` imports the whole crate, which hides the floor
        use crate::{self as c}; //~ `kernel` imports the whole crate, which hides the floor
        use super::super::*; //~ `kernel` imports the whole crate, which hides the floor
        use crate::Pid; //~ `kernel` imports `Pid` from the crate's root: name its floor
        #[path = "../process/x.rs"] //~ `#[path` can bring in a file of another floor
        mod x;
        include!("../process/x.rs"); //~ `include!(` can bring in a file of another floor
        macro_rules! m { () => { $crate::Time::ZERO } }
    "##;
    imports("src/kernel/x.rs", text);
    let text = "use super as c; //~ `kernel` imports the whole crate, which hides the floor";
    imports("src/kernel/mod.rs", text);
    let text = "//~ `util` is not in the table of floors";
    imports("src/util/mod.rs", text);
    imports("src/util.rs", text);
}

#[test]
fn imports_of_floors_above_pass() {
    let text = "use crate::{choice::{Site, tape::*}, trace};\nuse super::super::choice;";
    imports("src/kernel/x.rs", text);
    let text = "use crate::{net::Path, process, mail, check, otp, disk, kernel::agenda};";
    imports("src/sim/x.rs", text);
    imports("src/lib.rs", "mod process;\npub use crate::process::Pid;");
}

#[test]
fn models_and_checkers_know_no_system() {
    let text = r##"
        use crate::{choice::Site, trace::NodeId, kernel::time::Time};
        use crate::process::Host; //~ `FLOOR` imports `process`, which it must not know
        use crate::kernel; //~ `FLOOR` imports `kernel`, and may know only `kernel::time`
        use crate::kernel::x; //~ `FLOOR` imports `kernel::x`, and may know only `kernel::time`
        use crate::sim::World; //~ `FLOOR` imports `sim`, which stands below it
    "##;
    for floor in ["net", "disk", "check"] {
        let text = text.replace("FLOOR", floor);
        imports(&format!("src/{floor}/x.rs"), &text);
    }
    for system in ["net", "disk", "otp", "mail"] {
        let edge = format!("`check` imports `{system}`, which it must not know");
        imports(
            "src/check/x.rs",
            &format!("use crate::{system}; //~ {edge}"),
        );
    }
    imports("src/check/x.rs", "use crate::trace::Event;");
    let text = "use crate::otp::X; //~ `net` imports `otp`, which stands below it";
    imports("src/net/x.rs", text);
    let found = upward_imports("src/net/x.rs", "use crate::trace::{Event, Pid};");
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .1
            .starts_with("`net` imports `trace::Event`, and may know only `trace::")
    );
}

#[test]
fn actors_know_no_simulation() {
    let text = r##"
        use crate::{choice, trace, kernel};
        use crate::net::Path; //~ `FLOOR` imports `net`, WHY
        use crate::disk; //~ `FLOOR` imports `disk`, WHY
        use crate::sim::World; //~ `FLOOR` imports `sim`, which stands below it
    "##;
    let below = "which stands below it";
    let unknown = "which it must not know";
    for (floor, why) in [("process", below), ("otp", unknown), ("mail", unknown)] {
        let text = text.replace("FLOOR", floor).replace("WHY", why);
        imports(&format!("src/{floor}/x.rs"), &text);
    }
}

#[test]
fn unsafe_is_named() {
    let text = r##"
        #![allow(unsafe_code)] // unsafe
        const A: &str = "unsafe";
        unsafe impl Send for X {} //~ `unsafe` outside the files that may have it
    "##;
    planted(unsafe_words, "src/a/x.rs", text);
}

#[test]
fn reads_of_the_environment_are_named() {
    let text = r##"
        // std::env
        const A: &str = env!("CARGO_PKG_VERSION");
        use std::env; //~ `std::env` outside `cli`
        use std::{fmt, env::{self as e}}; //~ `std::env` outside `cli`
        fn f() { ::std::env::var("A"); } //~ `std::env` outside `cli`
    "##;
    planted(environment_reads, "src/sim/x.rs", text);
    let text = text.replace("//~", "//");
    planted(environment_reads, "src/cli/x.rs", &text);
}

#[test]
fn sizes_are_named() {
    let full = "\n".repeat(FILE_LINES_MAX);
    planted(excess, "src/a/x.rs", &full);
    let over = format!("{full}//~ 701 lines, of 700 at most");
    planted(excess, "src/a/x.rs", &over);
    let wide = "é".repeat(LINE_COLUMNS_MAX);
    planted(excess, "src/a/x.rs", &wide);
    let over = format!("{wide}//~ 141 columns, of 110 at most");
    planted(excess, "src/a/x.rs", &over);
}

#[test]
fn a_missing_opening_is_named() {
    planted(missing_opening, "src/a/x.rs", "//! What it owns.");
    let text = "// x //~ does not open with `//!`\n//! x";
    planted(missing_opening, "src/a/x.rs", text);
    assert_eq!(missing_opening("src/a/x.rs", "").len(), 1);
}
