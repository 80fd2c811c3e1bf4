use super::*;

/// An accept4 with 64 bytes of stack and so many mappings.
fn event(traits: u8, mappings: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (1..=9_u64).flat_map(|number| (number << 40).to_ne_bytes()).collect();
    for number in [31851_u32, 31852, 1000] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([3, 5, traits, mappings]);
    for number in [64_u32, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes.extend([0xa5; 512]);
    if traits & (MAPPED | SITE) != 0 {
        for mapping in 0..if traits & SITE == 0 { 8_u64 } else { 1 } {
            for number in [mapping << 12, (mapping + 1) << 12, 0x1000, 4242, 99] {
                bytes.extend(number.to_ne_bytes());
            }
            for number in [8_u32 << 20 | 3, 1] {
                bytes.extend(number.to_ne_bytes());
            }
        }
    }
    bytes
}

#[test]
fn a_call_is_read_field_by_field() {
    let bytes = event(COMPAT, 0);
    let (sample, mappings) = Sample::read(&bytes).unwrap();
    assert_eq!(mappings, None);
    let numbers = [sample.cookie, sample.time, sample.process, sample.when, sample.binder_when, sample.start];
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6].map(|number| number << 40));
    assert_eq!([sample.ip, sample.sp, sample.bp], [7, 8, 9].map(|number| number << 40));
    assert_eq!((sample.tgid, sample.tid, sample.uid), (31851, 31852, 1000));
    assert_eq!((sample.role, sample.call()), (3, Call::Accept4));
    assert!(sample.is_compat() && !sample.is_worker() && !sample.is_io_uring());
    assert_eq!(sample.stack(), [0xa5; 64]);
    let calls = [0, 1, 2, 3, 4, 9].map(|call| Sample { call, ..sample.clone() }.call());
    assert_eq!(calls[1..5], [Call::Bind, Call::Connect, Call::Listen, Call::Accept]);
    assert_eq!([calls[0], calls[5]], [Call::Other(0), Call::Other(9)]);
    // What the kernel would not write.
    assert_eq!(Sample { stack_length: 513, ..sample.clone() }.stack(), []);
}

#[test]
fn mappings_follow_where_they_were_told() {
    let bytes = event(MAPPED | WORKER | IO_URING, 2);
    let (sample, mappings) = Sample::read(&bytes).unwrap();
    assert!(sample.is_worker() && sample.is_io_uring());
    let mappings = mappings.unwrap();
    assert_eq!(mappings.len(), 2);
    assert_eq!((mappings[1].start, mappings[1].end, mappings[1].offset), (0x1000, 0x2000, 0x1000));
    assert_eq!((mappings[1].inode, mappings[1].path, mappings[1].device()), (4242, 99, (8, 3)));
    assert_eq!(mappings[1].deleted, 1);
    assert_eq!(Sample::read(&event(MAPPED, 0)).unwrap().1, Some(&[][..]));
    assert_eq!(Sample::read(&event(MAPPED, 9)), None);
}

#[test]
fn of_a_known_site_one_mapping_follows() {
    let bytes = event(SITE, 0);
    let (sample, mappings) = Sample::read(&bytes).unwrap();
    assert!(sample.is_of_known_site() && !sample.is_worker());
    assert_eq!(mappings.map(|mappings| (mappings.len(), mappings[0].end)), Some((1, 0x1000)));
    assert!(!Sample::read(&event(MAPPED, 1)).unwrap().0.is_of_known_site());
}

#[test]
fn sites_are_known_until_others_take_their_place() {
    let site = |number: u64| Site::new(Some(8), number);
    let mut known = KnownSites::default();
    for number in 1..=6 {
        known.add(site(number));
    }
    assert_eq!(known.sites, [6, 5, 4, 3].map(site));
    known.add(site(4));
    assert_eq!(known.sites, [4, 6, 5, 3].map(site));
    let ip = Site::new(None, 0x1234_5678);
    assert_eq!(ip.as_bytes(), [0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    // The kernel looks at none that is behind an empty one.
    let mut known = KnownSites::default();
    known.add(ip);
    assert_eq!(known.sites, [ip, Site::default(), Site::default(), Site::default()]);
}

#[test]
fn what_is_cut_is_no_event() {
    let [plain, site, mapped] = [event(0, 0), event(SITE, 0), event(MAPPED, 8)];
    assert_eq!((plain.len(), site.len(), mapped.len()), (608, 656, 992));
    for whole in [plain, site, mapped] {
        assert!((0..whole.len()).all(|length| Sample::read(&whole[..length]).is_none()));
    }
}

#[test]
fn nothing_of_the_stack_is_shown() {
    let bytes = event(0, 0);
    let shown = format!("{:?}", Sample::read(&bytes).unwrap().0);
    assert!(shown.contains("31851") && !shown.contains("165") && !shown.contains(&(8_u64 << 40).to_string()));
}
