//! What stands in a page: its blocks, and whether they are those of the tests.

/// A page of the project: its path, and its text.
#[derive(Clone, Copy)]
pub struct Page {
    pub path: &'static str,
    pub text: &'static str,
}

macro_rules! page {
    ($path:literal) => {
        crate::pages::Page {
            path: $path,
            text: include_str!(concat!("../../", $path)),
        }
    };
}

pub const README: Page = page!("README.md");
pub const SCRIPTS: Page = page!("docs/guide/scripts.md");
pub const PROPERTIES: Page = page!("docs/guide/properties.md");
pub const CONNECTIONS: Page = page!("docs/guide/connections.md");
pub const NAMES: Page = page!("docs/guide/names.md");
pub const SUPERVISION: Page = page!("docs/guide/supervision.md");
pub const TASKS: Page = page!("docs/guide/tasks.md");
pub const COMMAND_LINE: Page = page!("docs/guide/command-line.md");

impl Page {
    /// What is fenced as `language`.
    pub fn blocks(self, language: &str) -> Vec<&'static str> {
        let open = format!("\n```{language}\n");
        let after = self.text.split(open.as_str()).skip(1);
        after
            .map(|rest| rest.split_once("```").expect("a block that ends").0)
            .collect()
    }

    /// Every block of Rust in it stands in one of these sources, line for line, however far indented.
    pub fn is_held_by(self, sources: &[&str]) {
        let blocks = self.blocks("rust");
        assert!(!blocks.is_empty(), "{}: it has no code", self.path);
        let sources: Vec<String> = sources.iter().map(|source| flush(source)).collect();
        for block in blocks {
            let wanted = flush(block);
            let is_held = sources.iter().any(|source| source.contains(&wanted));
            assert!(is_held, "{}: no test runs this:\n{block}", self.path);
        }
    }
}

/// The lines of a text without their indentation.
fn flush(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    format!("\n{}\n", lines.join("\n"))
}

#[test]
fn a_block_that_no_test_runs_is_noticed() {
    let page = Page {
        path: "a page",
        text: "Look:\n\n```rust\nlet a = 1;\nlet b = 2;\n```\n",
    };
    page.is_held_by(&["fn f() {\n    let a = 1;\n    let b = 2;\n}\n"]);
    for other in [
        "let a = 1;\n",
        "let a = 1;\n\nlet b = 2;",
        "let b = 2;\nlet a = 1;",
    ] {
        let held = std::panic::catch_unwind(|| page.is_held_by(&[other]));
        assert!(held.is_err(), "{other}");
    }
}
