//! The catalogue as documentation.

use core::fmt::Write as _;

use super::catalogue::Catalogue;
use super::role::BuiltinRole;

impl Catalogue {
    /// Two Markdown tables: permission by built-in role and, if there are scopes, scope by built-in role. A service
    /// that keeps it beside its code and compares the two in a test makes every change of its policy a reviewed one
    /// (OWASP ASVS 5.0, 8.1.1).
    #[must_use]
    pub fn role_table(&self) -> String {
        let mut text = String::from(
            "| permission | level | viewer | developer | admin | allows |\n|---|---|---|---|---|---|\n",
        );
        for info in self.all_permissions() {
            let line = format!("| `{}` | {} |{}", info.name, info.level, cells(info.lowest));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line} {} |", plain(&info.description));
        }
        if !self.all_scopes().is_empty() {
            text.push_str(
                "\n| scope of keys | viewer | developer | admin | allows |\n|---|---|---|---|---|\n",
            );
            for info in self.all_scopes() {
                let line = format!("| `{}` |{}", info.name, cells(info.lowest));
                let _ = writeln!(text, "{line} {} |", plain(&info.description));
            }
        }
        text
    }
}

fn cells(lowest: BuiltinRole) -> String {
    BuiltinRole::ALL.into_iter().map(|role| if lowest <= role { " yes |" } else { " |" }).collect()
}

fn plain(description: &str) -> String {
    description.replace('|', "\\|").replace(['\r', '\n'], " ")
}
