//! Every transcript of the README and the guide is made again, and compared.
//!
//! A transcript is a block fenced as `console`. Its lines that begin with `$ ` are commands; what follows is
//! their output, and `…` on a line of its own stands for any lines left out. With the variable
//! `NETSPLIT_WRITE_DOCS` set, figures that are no longer right are put right in the pages; where a line is
//! gone or new, only a person knows what to do.

use super::forgetful;
use super::pages::{COMMAND_LINE, Page, README, SUPERVISION};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The binary of the gallery.
const NETSPLIT: &str = env!("CARGO_BIN_EXE_netsplit");
/// With this variable set, this file's tests are started as a command line of the README's shop.
const CHILD: &str = "NETSPLIT_TEST_ARGUMENTS";
/// With this variable set, figures are put right.
const WRITE: &str = "NETSPLIT_WRITE_DOCS";

/// What a shell knows between two commands.
struct Shell {
    folder: PathBuf,
    code: i32,
}

impl Shell {
    fn new(page: Page) -> Shell {
        let name = page.path.replace(['/', '.'], "_");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        Shell { folder, code: 0 }
    }

    /// What a command prints.
    fn run(&mut self, line: &str) -> String {
        let words: Vec<String> = words(line);
        let is_variable = |word: &&String| word.starts_with("NETSPLIT_");
        let variables = words.iter().take_while(is_variable).count();
        let (variables, words) = words.split_at(variables);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = match words.as_slice() {
            ["echo", "$?"] => return format!("{}\n", self.code),
            ["cat", file] => return fs::read_to_string(self.folder.join(file)).expect("a file"),
            ["netsplit", arguments @ ..] => gallery(arguments, None),
            ["cargo", "run", "--release", "--", arguments @ ..] => {
                gallery(arguments, Some("cargo"))
            }
            [
                "cargo",
                "run",
                "--release",
                "--bin",
                "scenarios",
                "--",
                arguments @ ..,
            ] => shop(arguments),
            ["cargo", "test", "--test", "shop", "--", "--nocapture"] => {
                test("scenario::every_order_is_sold_once")
            }
            ["cargo", "test", ..] if line.contains(" every_order_is_sold_once") => {
                test("forgetful::every_order_is_sold_once")
            }
            _ => panic!("no page can show `{line}`"),
        };
        let variables = variables.iter().filter_map(|word| word.split_once('='));
        command.envs(variables).env("RUST_BACKTRACE", "0");
        let command = command.current_dir(&self.folder).stdin(Stdio::null());
        let output = command.output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let (out, err) = (text(output.stdout), text(output.stderr));
        match out
            .split_once("<<<\n")
            .and_then(|(_, out)| out.split_once(">>>"))
        {
            Some((out, code)) => {
                self.code = code
                    .lines()
                    .next()
                    .and_then(|code| code.parse().ok())
                    .expect("a code");
                as_the_readers(out) + &as_the_readers(&err)
            }
            None => {
                self.code = output.status.code().expect("it was not killed");
                as_the_readers(&out) + &as_the_readers(&err)
            }
        }
    }
}

/// The words of a command; quotes keep a word together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// The gallery's binary; `cargo` where cargo calls it.
fn gallery(arguments: &[&str], cargo: Option<&str>) -> Command {
    let mut command = Command::new(NETSPLIT);
    command.args(arguments).env("CARGO_PKG_NAME", "netsplit");
    match cargo {
        Some(cargo) => command.env("CARGO", cargo),
        None => command.env_remove("CARGO"),
    };
    command
}

/// A reader's own binary, with the forgetful shop.
fn shop(arguments: &[&str]) -> Command {
    let mut command = this("transcripts::a_child_is_a_command_line");
    command
        .env("CARGO", "cargo")
        .env(CHILD, arguments.join("\n"));
    command
}

/// A reader's own test.
fn test(name: &str) -> Command {
    let mut command = this(name);
    command
        .env("CARGO", "cargo")
        .env("CARGO_PKG_NAME", "netsplit");
    command
}

fn this(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this file"));
    command.args([test, "--exact", "--nocapture"]);
    command
}

/// What was printed, with this test's names for the reader's.
fn as_the_readers(text: &str) -> String {
    let exe = std::env::current_exe().expect("this file");
    let stem = exe
        .file_stem()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    text.replace(&format!("--bin {stem}"), "--bin scenarios")
        .replace(
            "-p netsplit --test guide forgetful::",
            "-p shop --test shop ",
        )
        .replace("forgetful::", "")
        .replace(NETSPLIT, "netsplit")
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how the parent says what to run")]
fn a_child_is_a_command_line() {
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    println!("<<<");
    let arguments = ["scenarios"].into_iter().chain(arguments.lines());
    let code = netsplit::cli::main_with([forgetful::scenario()], arguments);
    let code = (0..=u8::MAX).find(|number| ExitCode::from(*number) == code);
    println!(">>>{}", code.expect("an exit code"));
}

/// A line without what differs from one machine to the next: how long it took, and how fast it was. How broad
/// a column is depends on what stands in the lines that are left out, so that does not count either.
fn steady(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    for index in 1..words.len() {
        if words[index].starts_with("seeds/s") {
            "#".clone_into(&mut words[index - 1]);
        }
    }
    let mut line = words.join(" ");
    for key in ["wall_s", "events_per_s", "seeds_per_s"] {
        line = without_value(&line, key);
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        // A row of the gallery's table.
        [before @ .., time, "s", _] if time.parse::<f64>().is_ok() => before.join(" "),
        words => words.join(" "),
    }
}

/// A line of JSON without the value of this key.
fn without_value(line: &str, key: &str) -> String {
    match line.split_once(&format!("\"{key}\":")) {
        None => line.to_owned(),
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || ".e-+".contains(c));
            format!("{before}\"{key}\":#{rest}")
        }
    }
}

/// A line without its figures: times, counts, digests. Messages and processes keep their numbers.
fn shape(line: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    if line.starts_with('{') {
        return line.replace(is_digit, "");
    }
    let is_figure = |word: &str| {
        let unit = word.trim_start_matches(is_digit);
        let hex = word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
        hex || unit.len() < word.len() && ["", "ns", "µs", "ms", "s", ")", ";"].contains(&unit)
    };
    let words = line.split_whitespace();
    let words = words.map(|word| if is_figure(word) { "#" } else { word });
    words.collect::<Vec<&str>>().join(" ")
}

/// The lines that stand for what was printed: those of the page where they are right, and those that were
/// printed where only figures differ. An error names the line for which there is none.
fn matched(shown: &[&str], printed: &str) -> Result<Vec<String>, String> {
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let mut right = Vec::new();
    let mut next = 0;
    let mut may_skip = false;
    for line in shown {
        if line.trim() == "…" {
            (may_skip, _) = (true, right.push((*line).to_owned()));
            continue;
        }
        let rest = &printed[next..];
        let same = |same: &dyn Fn(&str) -> String| {
            let mut rest = rest.iter().take(if may_skip { rest.len() } else { 1 });
            rest.position(|other| same(other) == same(line))
        };
        let (at, is_right) = match (same(&steady), same(&shape)) {
            (Some(at), _) => (at, true),
            (None, Some(at)) => (at, false),
            (None, None) => {
                let near = rest.first().unwrap_or(&"the end");
                return Err(format!(
                    "nothing printed is like\n{line}\nhere, but\n{near}"
                ));
            }
        };
        right.push(if is_right {
            (*line).to_owned()
        } else {
            rest[at].to_owned()
        });
        (next, may_skip) = (next + at + 1, false);
    }
    match printed[next..].first() {
        Some(more) if !may_skip => Err(format!("more was printed:\n{more}")),
        _ => Ok(right),
    }
}

/// A block as it would be today.
fn made_again(shell: &mut Shell, block: &str) -> Result<String, String> {
    let mut right = String::new();
    let lines: Vec<&str> = block.lines().collect();
    assert!(
        lines.first().is_some_and(|line| line.starts_with("$ ")),
        "a block without a command"
    );
    for transcript in lines.chunk_by(|_, line| !line.starts_with("$ ")) {
        let [command, shown @ ..] = transcript else {
            continue;
        };
        let printed = shell.run(command.trim_start_matches("$ "));
        let lines = matched(shown, &printed)
            .map_err(|why| format!("{command}\n{why}\n\nall of it:\n{printed}"))?;
        right += &format!(
            "{command}\n{}",
            lines.iter().map(|l| l.clone() + "\n").collect::<String>()
        );
    }
    Ok(right)
}

#[allow(clippy::disallowed_methods, reason = "whether the pages are put right")]
fn holds(page: Page) {
    let mut shell = Shell::new(page);
    let mut text = page.text.to_owned();
    for block in page.blocks("console") {
        match made_again(&mut shell, block) {
            Ok(right) if right == *block => {}
            Ok(right) => {
                assert!(
                    std::env::var(WRITE).is_ok(),
                    "{}: set {WRITE}=1 to put it right. Now it is\n{right}",
                    page.path
                );
                text = text.replacen(block, &right, 1);
            }
            Err(why) => panic!("{}: {why}", page.path),
        }
    }
    if text != page.text {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page.path);
        fs::write(path, text).expect("the page is written");
    }
}

#[test]
fn the_transcripts_of_the_readme_are_real() {
    holds(README);
}

#[test]
fn the_transcripts_of_the_command_line_are_real() {
    holds(COMMAND_LINE);
}

#[test]
fn the_transcripts_of_the_page_on_supervision_are_real() {
    holds(SUPERVISION);
}
