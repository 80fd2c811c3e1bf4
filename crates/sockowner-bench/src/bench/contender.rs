//! Who takes part, with which arguments, and what each has to find.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sockowner_testkit::load::{Held, Load};

use super::listing::Format;
use super::size::Size;

/// First argument of a process that makes one library call.
pub(super) const CALL: &str = "--call";

/// Names that targets and references use.
pub(super) mod names {
    pub(crate) const SS: &str = "ss -tna";
    pub(crate) const SS_OWNERS: &str = "ss -tnap";
    pub(crate) const SS_LISTENERS: &str = "ss -tlnp";
    pub(crate) const SS_ONE: &str = "ss -tnap src ENDPOINT";
    pub(crate) const AUTO: &str = "sockowner -tan";
    pub(crate) const PROC: &str = "sockowner -tan --source proc";
    pub(crate) const BPF: &str = "sockowner -tan --source bpf";
    pub(crate) const NO_OWNERS: &str = "sockowner -tan --no-owners";
    pub(crate) const NO_OWNERS_PROC: &str = "sockowner -tan --no-owners --source proc";
    pub(crate) const LISTENERS_BPF: &str = "sockowner -tln --source bpf";
    pub(crate) const WHO_BPF: &str = "sockowner who ENDPOINT --source bpf";
    pub(crate) const NETSTAT2: &str = "netstat2 get_sockets_info";
    pub(crate) const LISTENERS: &str = "listeners get_all";
    pub(crate) const LISTENERS_PORT: &str = "listeners get_process_by_port";
    pub(crate) const SNAPSHOT_PROC: &str = "sockowner snapshot, source proc";
    pub(crate) const SNAPSHOT: &str = "sockowner snapshot";
    pub(crate) const SNAPSHOT_BPF: &str = "sockowner snapshot, source bpf";
    pub(crate) const DUMP: &str = "sockowner sockets, one dump";
    pub(crate) const OWNER_FEW_PROC: &str = "sockowner owner_of, small cgroup, source proc";
    pub(crate) const OWNER_MANY_PROC: &str = "sockowner owner_of, everybody's cgroup, source proc";
    pub(crate) const OPEN_PROC: &str = "sockowner open, source proc";
    pub(crate) const OPEN_BPF: &str = "sockowner open, source bpf";
    pub(crate) const EMPTY_PASS: &str = "sockowner open and empty pass, source bpf";
}

/// The kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Command,
    Table,
    One,
    /// No question: what comes before an answer.
    Before,
}

/// One who takes part.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) format: Format,
    pub(super) expects: Expects,
    /// It tells owners.
    pub(super) owners: bool,
    pub(super) whose: Whose,
    /// To whom it is compared.
    pub(super) reference: Option<&'static str>,
    /// Why it cannot take part.
    pub(super) cannot: Option<String>,
}

/// What it has to list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expects {
    All,
    Listeners,
    One(Held),
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Peer,
    /// It must be right.
    Ours,
    /// It must be right where this build and this system have it.
    OursWhereOffered,
}

/// What the contenders' arguments depend on.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) program: &'a Path,
    pub(super) python: &'a Path,
    pub(super) size: &'a Size,
    pub(super) load: &'a Load,
    /// Why there is no small cgroup.
    pub(super) no_cgroup: Option<String>,
}

const PSUTIL: &str = "\
import sys, time, psutil
start = time.perf_counter_ns()
found = psutil.net_connections('tcp')
print('time', time.perf_counter_ns() - start)
for row in found:
    remote = '%s:%d' % row.raddr if row.raddr else '-'
    print('%s:%d' % row.laddr, remote, row.pid or '-')
";

/// Everybody.
pub(super) fn all(setting: &Setting<'_>) -> Result<Vec<Contender>> {
    let truth = setting.load.truth();
    let of = |index: usize| truth.iter().filter(move |held| held.index == index).copied();
    let few = of(setting.size.few().start).next().context("the load has sockets")?;
    // The process before belongs to the many.
    let many_index = setting.size.few().start - 1;
    let many = of(many_index).next().context("the load has sockets")?;
    // A connection's own end, where there is one: it is alone with its address.
    let client = of(many_index).find(|held| held.remote.is_some_and(|r| r == many.local)).unwrap_or(many);

    let mut all = commands(setting, client);
    all.extend(tables(setting)?);
    all.extend(ones(few, many)?);
    all.extend(before()?);
    if let Some(why) = &setting.no_cgroup {
        for contender in all.iter_mut().filter(|contender| contender.name.contains("small cgroup")) {
            contender.cannot = Some(why.clone());
        }
    }
    Ok(all)
}

fn commands(setting: &Setting<'_>, client: Held) -> Vec<Contender> {
    use names::{AUTO, BPF, LISTENERS_BPF, NO_OWNERS, NO_OWNERS_PROC, PROC, WHO_BPF};
    use names::{SS, SS_LISTENERS, SS_ONE, SS_OWNERS};
    let peer = |name, format, args: &str| {
        let (program, args) = args.split_once(' ').unwrap_or((args, ""));
        let args = args.split(' ').map(str::to_owned).collect();
        Contender {
            program: PathBuf::from(program),
            format,
            reference: Some(SS_OWNERS),
            ..Contender::new(name, Group::Command, args)
        }
    };
    let ours = |name: &'static str| {
        let args: Vec<String> = name.split(' ').skip(1).map(str::to_owned).collect();
        let has_bpf = name.ends_with("bpf");
        Contender {
            program: setting.program.to_owned(),
            format: Format::Sockowner,
            reference: Some(SS_OWNERS),
            whose: if has_bpf { Whose::OursWhereOffered } else { Whose::Ours },
            ..Contender::new(name, Group::Command, args)
        }
    };
    let without_owners = |contender: Contender| Contender { owners: false, reference: Some(SS), ..contender };
    let listening = |contender: Contender| Contender {
        expects: Expects::Listeners,
        reference: Some(SS_LISTENERS),
        ..contender
    };
    let one = |contender: Contender| {
        let args = contender.args.into_iter();
        let args = args.map(|arg| if arg == "ENDPOINT" { client.local.to_string() } else { arg }).collect();
        let format = if contender.format == Format::Ss { Format::Ss } else { Format::Who };
        Contender { args, format, expects: Expects::One(client), reference: Some(SS_ONE), ..contender }
    };
    vec![
        without_owners(peer(SS, Format::Ss, SS)),
        peer(SS_OWNERS, Format::Ss, SS_OWNERS),
        listening(peer(SS_LISTENERS, Format::Ss, SS_LISTENERS)),
        peer("lsof -nPiTCP", Format::Lsof, "lsof -nPiTCP"),
        peer("netstat -tnap", Format::Netstat, "netstat -tnap"),
        ours(AUTO),
        ours(PROC),
        ours(BPF),
        without_owners(ours(NO_OWNERS)),
        without_owners(ours(NO_OWNERS_PROC)),
        listening(ours("sockowner -tln")),
        listening(ours("sockowner -tln --source proc")),
        listening(ours(LISTENERS_BPF)),
        one(peer(SS_ONE, Format::Ss, SS_ONE)),
        one(ours("sockowner who ENDPOINT")),
        one(ours("sockowner who ENDPOINT --source proc")),
        one(ours(WHO_BPF)),
    ]
}

fn tables(setting: &Setting<'_>) -> Result<Vec<Contender>> {
    use names::{DUMP, LISTENERS, NETSTAT2, SNAPSHOT, SNAPSHOT_BPF, SNAPSHOT_PROC};
    let table = |contender: Contender| Contender { reference: Some(NETSTAT2), ..contender };
    let bare = |contender: Contender| Contender { owners: false, reference: Some(DUMP), ..contender };
    let python = Contender {
        program: setting.python.to_owned(),
        format: Format::Plain,
        ..Contender::new("psutil net_connections", Group::Table, vec!["-c".into(), PSUTIL.into()])
    };
    let listeners = Contender { format: Format::LocalOnly, ..call(LISTENERS, "listeners", Whose::Peer)? };
    Ok(vec![
        table(call(NETSTAT2, "netstat2", Whose::Peer)?),
        table(listeners),
        table(python),
        table(call(SNAPSHOT, "snapshot auto", Whose::Ours)?),
        table(call(SNAPSHOT_PROC, "snapshot proc", Whose::Ours)?),
        table(call(SNAPSHOT_BPF, "snapshot bpf", Whose::OursWhereOffered)?),
        bare(call("sockowner snapshot, no owners", "no-owners", Whose::Ours)?),
        bare(call(DUMP, "sockets", Whose::Ours)?),
    ])
}

fn ones(few: Held, many: Held) -> Result<Vec<Contender>> {
    use names::{LISTENERS_PORT, OWNER_FEW_PROC, OWNER_MANY_PROC};
    let one = |name, what: &str, held: Held, whose| {
        let contender = call(name, &format!("{what} {}", held.local), whose)?;
        let contender = Contender { group: Group::One, reference: Some(LISTENERS_PORT), ..contender };
        anyhow::Ok(Contender { expects: Expects::One(held), ..contender })
    };
    Ok(vec![
        one(LISTENERS_PORT, "listeners-port", many, Whose::Peer)?,
        one("sockowner owner_of, small cgroup", "owner-of auto", few, Whose::Ours)?,
        one(OWNER_FEW_PROC, "owner-of proc", few, Whose::Ours)?,
        one("sockowner owner_of, everybody's cgroup", "owner-of auto", many, Whose::Ours)?,
        one(OWNER_MANY_PROC, "owner-of proc", many, Whose::Ours)?,
    ])
}

fn before() -> Result<Vec<Contender>> {
    use names::{BPF, EMPTY_PASS, OPEN_BPF, OPEN_PROC, WHO_BPF};
    let step = |name, what: &str, whose, reference| {
        let contender = call(name, what, whose)?;
        let contender = Contender { group: Group::Before, reference, ..contender };
        anyhow::Ok(Contender { expects: Expects::Nothing, owners: false, ..contender })
    };
    Ok(vec![
        step(OPEN_PROC, "open proc", Whose::Ours, None)?,
        step(OPEN_BPF, "open bpf", Whose::OursWhereOffered, Some(BPF))?,
        step(EMPTY_PASS, "owners-of-closed bpf", Whose::OursWhereOffered, Some(WHO_BPF))?,
    ])
}

/// A library call in a fresh process of this program.
fn call(name: &'static str, what: &str, whose: Whose) -> Result<Contender> {
    let args = [CALL].into_iter().chain(what.split(' ')).map(str::to_owned).collect();
    Ok(Contender {
        program: std::env::current_exe().context("find this program")?,
        format: Format::Plain,
        whose,
        ..Contender::new(name, Group::Table, args)
    })
}

impl Contender {
    fn new(name: &'static str, group: Group, args: Vec<String>) -> Self {
        Self {
            name,
            group,
            program: PathBuf::new(),
            args,
            format: Format::Plain,
            expects: Expects::All,
            owners: true,
            whose: Whose::Peer,
            reference: None,
            cannot: None,
        }
    }
}
