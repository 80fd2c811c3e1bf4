//! One C file, compiled by gcc against our headers and by mingw against Windows', tells the true owner of its own
//! listener on both.

use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use super::super::service::NO_SERVICE;
use super::super::workshop::{Compiler, compile, link, scratch, source, succeed};
use super::wine::{Machine, Means, ran, trial, wine, wine_path};

/// The file.
const SOURCE: &str = "own_listener.c";

pub(super) fn trial_of(means: &Means) -> Trial {
    let means = means.clone().and_then(|machine| {
        Compiler::Gcc.supported()?;
        NO_SERVICE.check()?;
        Ok(machine)
    });
    trial("the_same_source_tells_its_own_listener", &means, |machine| {
        let (linux, wine) = (on_linux(), under_wine(machine));
        let word = |result: &Result<(), String>| if result.is_ok() { "ok" } else { "wrong" };
        println!("same source: linux {}, wine {}", word(&linux), word(&wine));
        linux.unwrap();
        wine.unwrap();
    })
}

fn on_linux() -> Result<(), String> {
    let program = scratch().join("own_listener");
    let mut command = compile(Compiler::Gcc);
    command.arg("-pthread").arg("-I").arg(source("include/sockowner/windows"));
    command.arg(source("tests/c").join(SOURCE)).arg("-o").arg(&program);
    link(&mut command);
    succeed(&mut command);
    let child = Command::new(&program).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.map_err(|error| error.to_string())?;
    let pid = child.id();
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = program.to_str().ok_or("a path that is no UTF-8")?;
    is_true(&said, path, path.rsplit('/').next().unwrap_or_default(), Some(pid))
}

fn under_wine(machine: &Machine) -> Result<(), String> {
    let program = machine.compiled("own_listener", &[SOURCE]);
    let path = wine_path(&program);
    is_true(&ran(&mut wine(&program)), &path, "own_listener.exe", None)
}

/// The program printed one line, and it is true. What number Wine gave it, it alone knows: it says both.
pub(super) fn is_true(said: &str, path: &str, name: &str, pid: Option<u32>) -> Result<(), String> {
    let line = said
        .strip_suffix('\n')
        .filter(|line| !line.contains('\n'))
        .ok_or(format!("not one line: {said:?}"))?;
    let fields: Vec<&str> = line.splitn(4, '\t').collect();
    let [row, own, told_name, told_path] = fields[..] else {
        return Err(format!("not four fields: {line:?}"));
    };
    if own == "0" || row != own || pid.is_some_and(|pid| row != pid.to_string()) {
        return Err(format!("pid {row}, not {own} ({pid:?})"));
    }
    if (told_name, told_path) != (name, path) {
        return Err(format!("{told_name:?} {told_path:?}, not {name:?} {path:?}"));
    }
    Ok(())
}
