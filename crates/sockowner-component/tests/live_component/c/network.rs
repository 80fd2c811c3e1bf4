//! All calls, by the standard library.
use std::net::{TcpListener, TcpStream};

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = std::thread::spawn(move || listener.accept().unwrap()).join().unwrap();
    drop((stream, accepted));
}
