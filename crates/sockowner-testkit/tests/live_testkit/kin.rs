//! Sockets that several processes and threads hold, and those that none does.

use sockowner_testkit::libtest_mimic::Trial;
use sockowner_testkit::{Actor, Requirement, live_test, netns_test, privileges::ORDINARY_UID};

use crate::seen::{alive, exe, holds, proc_dir, status, table_holds, thread_holds};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        netns_test("a forked child holds the listener", &[], forked),
        netns_test("a forked child outlives its parent", &[], outlived),
        live_test("a zombie stays", &[], zombie),
        netns_test("an exec keeps the sockets", &[], exec),
        netns_test("an exec can change the executable", &[], exec_copy),
        netns_test("a thread can have its own table", &[], own_table),
        netns_test("the main thread can leave", &[], leave_main),
        netns_test("a descriptor passes to another user", &[Requirement::OtherUser], passed),
        netns_test("a descriptor can be in flight", &[], in_flight),
    ]
}

fn forked() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let (one, two) = (actor.fork(), actor.fork());
    assert!([actor.pid(), one, two].iter().all(|pid| holds(*pid, listener.inode)));
    assert_eq!(status(one, "PPid"), actor.pid().to_string());
    actor.kill_child(one);
    assert!(!alive(one) && alive(two));
    actor.exec();
    actor.kill_child(two);
    assert!(!alive(two));
}

fn outlived() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    actor.kill();
    assert!(!alive(actor.pid()));
    assert!(holds(child, listener.inode));
    assert_eq!(status(child, "PPid"), std::process::id().to_string());
    drop(actor);
    assert!(!alive(child));
}

fn zombie() {
    let actor = Actor::spawn();
    let zombie = actor.sleep_zombie();
    assert!(status(zombie, "State").starts_with('Z'));
    actor.kill_child(zombie);
    assert!(!alive(zombie));
}

fn exec() {
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let child = actor.fork();
    actor.set_comm("before");
    actor.exec();
    assert_ne!(status(actor.pid(), "Name"), "before");
    assert_eq!(actor.describe(listener.fd), listener);
    assert!(holds(actor.pid(), listener.inode) && holds(child, listener.inode));
    // Once more, with descriptors that were adopted.
    actor.exec();
    actor.tcp_connect(listener.addr);
    actor.accept(listener.fd);
    actor.close(listener.fd);
    assert!(!holds(actor.pid(), listener.inode));
}

fn exec_copy() {
    let dir = tempfile::tempdir().unwrap();
    let actor = Actor::spawn();
    let listener = actor.tcp_listen("127.0.0.1:0");
    let path = dir.path().join("another");
    actor.exec_copy(&path);
    assert_eq!(exe(actor.pid()), path);
    assert_eq!(status(actor.pid(), "Name"), "another");
    actor.unlink_self_exe();
    assert!(!path.exists());
    assert!(holds(actor.pid(), listener.inode));
}

fn own_table() {
    let actor = Actor::spawn();
    let shared = actor.tcp_listen("127.0.0.1:0");
    let thread = actor.thread_with_own_fd_table("127.0.0.1:0");
    let pid = actor.pid();
    assert_ne!(thread.tid, pid);
    assert!(!holds(pid, thread.sock.inode));
    assert!(thread_holds(pid, thread.tid, thread.sock.inode));
    assert!(holds(pid, shared.inode) && !thread_holds(pid, thread.tid, shared.inode));
    actor.tcp_connect(thread.sock.addr);
    actor.end_thread(thread.tid);
    assert!(!proc_dir(pid).join("task").join(thread.tid.to_string()).exists());
}

fn leave_main() {
    let actor = Actor::spawn();
    let before = actor.tcp_listen("127.0.0.1:0");
    let listener = actor.listen_in_thread_and_exit_main("127.0.0.1:0");
    let pid = actor.pid();
    assert!(status(pid, "State").starts_with('Z'));
    assert!(std::fs::read_link(proc_dir(pid).join("exe")).is_err());
    assert!(!holds(pid, listener.inode));
    let tids = std::fs::read_dir(proc_dir(pid).join("task")).unwrap().flatten();
    let tables: Vec<_> = tids.map(|task| task.path().join("fd")).collect();
    for inode in [before.inode, listener.inode] {
        assert!(tables.iter().any(|table| table_holds(table, inode)));
    }
    actor.tcp_connect(listener.addr);
    actor.accept(listener.fd);
    let child = actor.fork();
    assert!(holds(child, before.inode));
    actor.exec();
    assert!(holds(pid, listener.inode));
}

fn passed() {
    let giver = Actor::spawn();
    let taker = Actor::builder().uid(ORDINARY_UID).gid(ORDINARY_UID).spawn();
    let listener = giver.tcp_listen("127.0.0.1:0");
    let received = giver.pass_fd(listener.fd, &taker);
    assert_eq!((received.inode, received.cookie), (listener.inode, listener.cookie));
    assert!(holds(giver.pid(), listener.inode) && holds(taker.pid(), listener.inode));
    giver.close(listener.fd);
    assert!(!holds(giver.pid(), listener.inode));
    taker.tcp_connect(listener.addr);
    taker.accept(received.fd);
}

fn in_flight() {
    let (giver, taker) = (Actor::spawn(), Actor::spawn());
    let dir = tempfile::tempdir().unwrap();
    let inbox = dir.path().join("inbox");
    taker.open_inbox(&inbox);
    let socket = giver.udp_bind("127.0.0.1:0");
    giver.send_fd(&inbox, socket.fd);
    giver.close(socket.fd);
    assert!(!holds(giver.pid(), socket.inode) && !holds(taker.pid(), socket.inode));
    assert_eq!(taker.recv_fd(&inbox).inode, socket.inode);
    assert!(holds(taker.pid(), socket.inode));
}
