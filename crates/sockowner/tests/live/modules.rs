//! One name and path for one process, and the proofs that it is still that process.

use std::fs;

use sockowner::{ErrorKind, Identity, Module, Process, boot, module_of};
use sockowner_testkit::Requirement::{Cgroup2, NsLastPid, OtherUser};
use sockowner_testkit::cgroup::Scratch;
use sockowner_testkit::privileges::{ORDINARY_UID, become_user};
use sockowner_testkit::{Actor, Requirement, eventually};

use super::ask::{query, told};
use super::seen::{proc_dir, public_dir, start_ticks, stat_field};

tests! {
    Host a_process_has_its_executable;
    Alone a_deleted_executable_has_its_path;
    Alone a_process_without_its_main_thread_has_its_executable;
    Alone a_service_is_named_where_process_and_socket_are_its needs Cgroup2;
    Alone a_users_service_is_not_named needs Cgroup2;
    Alone a_recycled_number_is_not_found needs NsLastPid;
    Alone a_process_that_ended_is_not_found;
    Alone a_process_of_another_boot_is_not_found;
    Alone a_process_that_may_not_be_inspected_is_not_permitted needs OtherUser;
    HidePid a_hidden_process_is_not_permitted needs OtherUser;
    Host a_kernel_thread_has_the_kernels_name needs KERNEL_THREAD;
}

const KERNEL_THREAD: Requirement = Requirement::Custom("a kernel thread", || {
    kernel_thread().map(drop).ok_or_else(|| String::from("none can be seen in this pid namespace"))
});

fn kernel_thread() -> Option<u32> {
    const PF_KTHREAD: u64 = 0x0020_0000;
    // The first of them, which never ends.
    proc_dir(2).exists().then_some(2).filter(|pid| stat_field(*pid, 9) & PF_KTHREAD != 0)
}

/// The actor as the library tells it, with all proofs.
fn identity(actor: &Actor) -> (Identity, Process) {
    let listener = actor.tcp_listen("127.0.0.1:0");
    let entry = told(&query(), &listener);
    let process = Process::clone(&entry.attribution.holders()[0].process);
    let identity = Identity::of(&process);
    assert_eq!((identity.pid, identity.start_ticks), (actor.pid(), Some(start_ticks(actor.pid()))));
    assert_eq!((identity.pidfd_inode, identity.boot), (process.pidfd_inode, boot()));
    (identity, process)
}

fn in_cgroup(mut identity: Identity, id: u64) -> Identity {
    identity.cgroup = Some(id);
    identity
}

fn kind(identity: &Identity) -> ErrorKind {
    module_of(identity).unwrap_err().kind()
}

fn a_process_has_its_executable() {
    let actor = Actor::spawn();
    let own = Module::Process(std::env::current_exe().unwrap());
    let (identity, process) = identity(&actor);
    assert_eq!(module_of(&identity).unwrap(), own);
    assert_eq!(module_of(&Identity::of_pid(actor.pid())).unwrap(), own);
    assert_eq!(own.name(), process.name);
}

fn a_deleted_executable_has_its_path() {
    let dir = public_dir();
    for name in ["program", "program (deleted)"] {
        let path = dir.path().join(name);
        let actor = Actor::builder().exe(&path).spawn();
        let (identity, _) = identity(&actor);
        assert_eq!(module_of(&identity).unwrap(), Module::Process(path.clone()));
        actor.unlink_self_exe();
        assert_eq!(module_of(&identity).unwrap(), Module::Process(path.clone()));
    }
}

fn a_process_without_its_main_thread_has_its_executable() {
    let actor = Actor::spawn();
    let (identity, _) = identity(&actor);
    actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    assert_eq!(module_of(&identity).unwrap(), Module::Process(std::env::current_exe().unwrap()));
}

fn a_service_is_named_where_process_and_socket_are_its() {
    let unit = Scratch::new("/system.slice/sockowner-live-module.service");
    let other = Scratch::new("/system.slice/sockowner-live-module2.service");
    let actor = Actor::builder().cgroup(&unit).spawn();
    let (identity, _) = identity(&actor);
    let executable = Module::Process(std::env::current_exe().unwrap());
    assert_eq!(module_of(&identity).unwrap(), executable, "nothing is said of the socket");
    let service = Module::Service("sockowner-live-module.service".into());
    assert_eq!(module_of(&in_cgroup(identity, unit.id())).unwrap(), service);
    assert_eq!(module_of(&in_cgroup(identity, other.id())).unwrap(), executable);
    other.move_in(actor.pid());
    assert_eq!(module_of(&in_cgroup(identity, unit.id())).unwrap(), executable, "it has left");
}

fn a_users_service_is_not_named() {
    let unit = Scratch::new("/user.slice/user-1000.slice/user@1000.service/sockowner-live-module.service");
    let actor = Actor::builder().cgroup(&unit).spawn();
    let identity = in_cgroup(Identity::of_pid(actor.pid()), unit.id());
    assert_eq!(module_of(&identity).unwrap(), Module::Process(std::env::current_exe().unwrap()));
}

fn a_recycled_number_is_not_found() {
    const NUMBER: u32 = 4711;
    let first = Actor::builder().pid(NUMBER).spawn();
    let (whole, _) = identity(&first);
    drop(first);
    assert_eq!(kind(&whole), ErrorKind::NotFound);
    let dir = public_dir();
    let path = dir.path().join("stranger");
    let stranger = Actor::builder().exe(&path).pid(NUMBER).spawn();
    assert_eq!(kind(&whole), ErrorKind::NotFound);
    // The pidfd's number is proof enough, also within one tick of the clock.
    if whole.pidfd_inode.is_some() {
        let mut proof = Identity::of_pid(NUMBER);
        proof.pidfd_inode = whole.pidfd_inode;
        assert_eq!(kind(&proof), ErrorKind::NotFound);
    }
    assert_eq!(module_of(&Identity::of_pid(NUMBER)).unwrap(), Module::Process(path));
    drop(stranger);
    // And the start time is, as soon as the clock has ticked.
    let mut proof = Identity::of_pid(NUMBER);
    proof.start_ticks = whole.start_ticks;
    let _later = eventually("a process that started later", || {
        let actor = Actor::builder().pid(NUMBER).spawn();
        (Some(start_ticks(NUMBER)) != whole.start_ticks).then_some(actor)
    });
    assert_eq!(kind(&proof), ErrorKind::NotFound);
}

fn a_process_that_ended_is_not_found() {
    let actor = Actor::spawn();
    let zombie = actor.sleep_zombie();
    for pid in [zombie, 0, 30_000, u32::MAX] {
        assert_eq!(kind(&Identity::of_pid(pid)), ErrorKind::NotFound, "{pid}");
    }
}

fn a_process_of_another_boot_is_not_found() {
    let actor = Actor::spawn();
    let (mut identity, _) = identity(&actor);
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    assert_eq!(boot(), u64::from_str_radix(&digits, 16).ok());
    identity.boot = boot().map(|number| !number);
    assert_eq!(kind(&identity), ErrorKind::NotFound);
}

fn a_process_that_may_not_be_inspected_is_not_permitted() {
    let (roots, own) = (Actor::spawn(), Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn());
    let whole = [identity(&roots).0, identity(&own).0];
    let undumpable = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    undumpable.drop_dumpable();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert_eq!(module_of(&whole[0]).unwrap(), Module::NotPermitted);
    assert_eq!(module_of(&whole[1]).unwrap(), Module::Process(std::env::current_exe().unwrap()));
    assert_eq!(module_of(&Identity::of_pid(undumpable.pid())).unwrap(), Module::NotPermitted);
    // What everybody may read proves that a number is another's.
    let mut other = Identity::of_pid(roots.pid());
    other.start_ticks = Some(1);
    assert_eq!(kind(&other), ErrorKind::NotFound);
}

fn a_hidden_process_is_not_permitted() {
    let roots = Actor::spawn();
    become_user(ORDINARY_UID, ORDINARY_UID).unwrap();
    assert!(!proc_dir(roots.pid()).exists());
    assert_eq!(module_of(&Identity::of_pid(roots.pid())).unwrap(), Module::NotPermitted);
    assert_eq!(kind(&Identity::of_pid(30_000)), ErrorKind::NotFound);
}

fn a_kernel_thread_has_the_kernels_name() {
    let module = module_of(&Identity::of_pid(kernel_thread().unwrap())).unwrap();
    assert_eq!(module, Module::Kernel);
    assert_eq!(module.name(), Module::KERNEL);
}
