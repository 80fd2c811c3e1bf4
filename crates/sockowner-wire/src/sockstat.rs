//! `/proc/net/sockstat` and `sockstat6`: how many sockets a network namespace has (proc_net(5)).

/// How many TCP sockets such a file counts, those in `TIME_WAIT` included; 0 where it tells none.
pub fn sockstat_tcp(text: &[u8]) -> u64 {
    let line = text.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"TCP"));
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    let mut sum = 0_u64;
    while let Some(word) = words.next() {
        if matches!(word, b"inuse" | b"tw") {
            let count = words.next().and_then(|count| std::str::from_utf8(count).ok()?.parse().ok());
            sum = sum.saturating_add(count.unwrap_or(0));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_those_in_time_wait_are_counted() {
        let text = b"sockets: used 231\nTCP: inuse 50 orphan 1 tw 7 alloc 66 mem 3\nUDP: inuse 12 mem 2\n";
        assert_eq!(sockstat_tcp(text), 57);
        assert_eq!(sockstat_tcp(b"TCP6: inuse 9\nUDP6: inuse 4\n"), 9);
    }

    #[test]
    fn what_is_no_count_counts_nothing() {
        assert_eq!(sockstat_tcp(b""), 0);
        assert_eq!(sockstat_tcp(b"TCP: inuse x tw\n\xff"), 0);
        assert_eq!(sockstat_tcp(b"TCP: inuse 18446744073709551615 tw 9"), u64::MAX);
    }
}
