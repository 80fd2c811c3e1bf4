//! MPTCP sockets, in the list and in words.

use sockowner_testkit::{Actor, Requirement, SocketOptions};

use super::program::ask;

tests! {
    Alone mptcp_sockets_and_their_subflows_are_shown needs MPTCP;
}

const MPTCP: Requirement = Requirement::Custom("MPTCP", || {
    let enabled =
        std::fs::read_to_string("/proc/sys/net/mptcp/enabled").map_err(|error| error.to_string())?;
    if enabled.trim() == "1" { Ok(()) } else { Err("net.mptcp.enabled is 0".to_owned()) }
});

fn mptcp_sockets_and_their_subflows_are_shown() {
    let actor = Actor::spawn();
    let options = || SocketOptions { mptcp: true, ..SocketOptions::default() };
    let one = actor.tcp_listen_with("127.0.0.1:4711", options());
    actor.tcp_listen_with("[::1]:4711", options());
    let list = ask(&["-l"]);
    list.assert_complete();
    let protocols = |text: &str| -> Vec<String> {
        let rows = text.lines().skip(1);
        rows.map(|row| row.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(protocols(list.stdout()), ["tcp", "tcp6", "mptcp", "mptcp6"]);
    let pid = format!(" {} ", actor.pid());
    assert!(list.stdout().lines().skip(1).all(|row| row.contains(&pid)), "{}", list.stdout());
    assert_eq!(protocols(ask(&["-M"]).stdout()), ["mptcp", "mptcp6"]);
    assert_eq!(protocols(ask(&["-t"]).stdout()), ["tcp", "tcp6"]);
    assert_eq!(protocols(ask(&["wait", ":4711"]).stdout()), ["tcp", "tcp6", "mptcp", "mptcp6"]);
    assert_eq!(protocols(ask(&["wait", "mptcp/127.0.0.1:4711"]).stdout()), ["mptcp"]);

    let json = ask(&["--json", "-4"]).endpoints();
    let told: Vec<_> = json.iter().map(|row| (&row["protocol"], &row["subflow"])).collect();
    assert_eq!(told, [(&"tcp".into(), &true.into()), (&"mptcp".into(), &false.into())]);
    assert!(json.iter().all(|row| row["inode"] == one.inode && row["owner"]["pid"] == actor.pid()));

    let words = "a subflow of the MPTCP socket with the same inode";
    let who = ask(&["who", "127.0.0.1:4711"]);
    assert_eq!(who.stdout().matches(words).count(), 1);
    assert!(!ask(&["who", "mptcp/127.0.0.1:4711"]).stdout().contains(words));
    ask(&["-M", "--pid", "1"]).assert_ended(1, "sockowner: no mptcp endpoint is held by pid 1\n");
}
