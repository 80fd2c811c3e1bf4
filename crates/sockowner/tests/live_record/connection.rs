//! One connection, asked for by its addresses.

use sockowner::{Address, Query, Record, RoleKind};
use sockowner_testkit::{Actor, eventually};

use super::ask::{Recorder, called, implied, who};

tests! {
    Alone a_connection_is_told_at_once;
}

fn a_connection_is_told_at_once() {
    let query = Query::new().unwrap();
    let (server, client) = (Actor::spawn(), Actor::spawn());
    let listener = server.tcp_listen("127.0.0.1:0");
    let older = client.tcp_connect(listener.addr);
    let ask = |local, remote| query.recorded(Address::from(local), Address::from(remote)).unwrap();
    let (_, record) = ask(older.addr, listener.addr).unwrap();
    assert_eq!(record, Record::Nowhere, "nothing is recorded yet");
    {
        let _recorder = Recorder::start();
        let (_, record) = ask(older.addr, listener.addr).unwrap();
        assert_eq!(record, Record::NotRecorded);
        let connected = client.tcp_connect(listener.addr);
        let (socket, record) = ask(connected.addr, listener.addr).unwrap();
        assert_eq!(socket.cookie, connected.cookie);
        let roles = RoleKind::ALL.map(|kind| record.role(kind).map(who));
        assert_eq!(roles, [called(&client), implied(&client), None, None]);
        let nobodys = "127.0.0.2:1".parse::<std::net::SocketAddr>().unwrap();
        assert_eq!(ask(connected.addr, nobodys), None);
    }
    eventually("nothing is recorded any more", || {
        let (_, record) = ask(older.addr, listener.addr).unwrap();
        (record == Record::Nowhere).then_some(())
    });
}
