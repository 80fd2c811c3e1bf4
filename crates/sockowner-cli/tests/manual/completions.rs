//! Completions of shells.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::File;

/// A file for each shell, called as the shell looks for it.
pub(crate) fn all(definition: &Command) -> Vec<File> {
    let files =
        [(Shell::Bash, "sockowner.bash"), (Shell::Zsh, "_sockowner"), (Shell::Fish, "sockowner.fish")];
    let file = |(shell, name)| {
        let mut text = Vec::new();
        generate(shell, &mut without_hidden(definition), "sockowner", &mut text);
        let text = String::from_utf8(text).unwrap();
        let text = if shell == Shell::Fish { with_values(&text) } else { text };
        File { path: format!("completions/{name}"), text }
    };
    files.map(file).into()
}

/// clap_complete offers what is hidden. Each command has the global options as its own here, so none comes back.
fn without_hidden(command: &Command) -> Command {
    let is_offered = |arg: &&clap::Arg| !arg.is_hide_set() && arg.get_id() != "help";
    let arguments = command.get_arguments().filter(is_offered).map(|arg| arg.clone().global(false));
    let copy = Command::new(&*command.get_name().to_owned().leak())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(arguments)
        .subcommands(command.get_subcommands().map(without_hidden))
        .subcommand_required(command.is_subcommand_required_set())
        .disable_help_subcommand(true)
        .disable_version_flag(true);
    if command.get_version().is_some() { copy.version(env!("CARGO_PKG_VERSION")) } else { copy }
}

/// clap_complete's test of where a command may stand fails on an option whose value is still to come, and with it all
/// values of the program's own options.
fn with_values(text: &str) -> String {
    let tried = "    argparse -s (__fish_sockowner_global_optspecs) -- $cmd 2>/dev/null\n";
    assert!(text.contains(&format!("{tried}    or return\n")), "clap_complete writes something else");
    let again = format!(
        "{tried}    # The value of the last option is what is being typed.\n    or set -e cmd[-1]\n{tried}"
    );
    text.replacen(tried, &again, 1)
}
