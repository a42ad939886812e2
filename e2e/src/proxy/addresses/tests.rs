use super::*;

/// Builds a response as Kafka's message definitions say.
struct Response {
    bytes: Vec<u8>,
    flexible: bool,
}

impl Response {
    fn new(flexible: bool) -> Self {
        Self { bytes: Vec::new(), flexible }.raw(b"\0\0\0\x07").tags()
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn zeros(self, count: usize) -> Self {
        self.raw(&vec![0; count])
    }

    fn string(self, text: &str) -> Self {
        let length = u8::try_from(text.len()).unwrap();
        let this = if self.flexible { self.raw(&[length + 1]) } else { self.raw(&[0, length]) };
        this.raw(text.as_bytes())
    }

    fn null(self) -> Self {
        if self.flexible { self.raw(&[0]) } else { self.raw(&[0xff, 0xff]) }
    }

    fn array(self, count: u8) -> Self {
        if self.flexible { self.raw(&[count + 1]) } else { self.raw(&[0, 0, 0, count]) }
    }

    fn tags(self) -> Self {
        if self.flexible { self.raw(&[0]) } else { self }
    }

    fn node(self, port: u16) -> Self {
        self.raw(b"\0\0\0\x01").string("127.0.0.1").raw(&u32::from(port).to_be_bytes())
    }

    /// Two brokers that became leaders, as the last tagged field but one.
    fn new_leaders(self) -> Self {
        let leaders = Self { bytes: Vec::new(), flexible: true };
        let leaders = leaders.array(2).node(9001).null().tags().node(9002).string("rack").tags().bytes;
        self.raw(&[2, 0, u8::try_from(leaders.len()).unwrap()]).raw(&leaders).raw(&[9, 1, 0xee])
    }
}

/// Sends every address elsewhere, and checks that nothing but the ports has changed.
#[track_caller]
fn assert_redirects(api: Api, version: i16, response: Response, ports: &[u16]) {
    let head = Head { api, version, correlation: 7 };
    let original = response.bytes;
    let mut bytes = original.clone();
    let mut found = Vec::new();
    redirect(head, &mut bytes, |host, port| {
        assert_eq!(host, "127.0.0.1");
        found.push(port);
        Ok(port + 1000)
    })
    .unwrap();
    assert_eq!(found, ports, "{api:?} {version}");
    redirect(head, &mut bytes, |_, port| Ok(port - 1000)).unwrap();
    assert_eq!(bytes, original, "{api:?} {version}");
    // A response that breaks off before its last address is refused, never half done.
    let broken = &mut bytes[..original.len() / 2].to_vec();
    if redirect(head, broken, |_, port| Ok(port + 1)).is_err() {
        assert_eq!(*broken, original[..original.len() / 2]);
    }
}

#[test]
fn brokers_in_metadata_are_redirected() {
    let old = Response::new(false).array(2).node(9001).node(9002).array(0);
    assert_redirects(Api::Metadata, 0, old, &[9001, 9002]);
    let middle = Response::new(false).zeros(4).array(2).node(9001).null().node(9002).string("rack").zeros(9);
    assert_redirects(Api::Metadata, 8, middle, &[9001, 9002]);
    let new = Response::new(true).zeros(4).array(2).node(9001).null().tags().node(9002).string("r").tags().zeros(9);
    assert_redirects(Api::Metadata, 13, new, &[9001, 9002]);
}

#[test]
fn coordinators_are_redirected() {
    assert_redirects(Api::FindCoordinator, 0, Response::new(false).zeros(2).node(9001), &[9001]);
    assert_redirects(Api::FindCoordinator, 2, Response::new(false).zeros(4 + 2).null().node(9001), &[9001]);
    let flexible = Response::new(true).zeros(4 + 2).string("NONE").node(9001).tags();
    assert_redirects(Api::FindCoordinator, 3, flexible, &[9001]);
    let several = Response::new(true).zeros(4).array(2);
    let several = several.string("group").node(9001).zeros(2).null().tags();
    let several = several.string("other").node(9002).zeros(2).string("NONE").tags().tags();
    assert_redirects(Api::FindCoordinator, 6, several, &[9001, 9002]);
}

#[test]
fn a_coordinator_that_is_not_known_stays_so() {
    let unknown = Response::new(false).zeros(4).raw(&[0, 15]).null().raw(&[0xff; 4]).string("").raw(&[0xff; 4]);
    assert_redirects(Api::FindCoordinator, 2, unknown, &[]);
}

#[test]
fn brokers_of_a_described_cluster_are_redirected() {
    let old = Response::new(true).zeros(4 + 2).null().string("cluster").zeros(4);
    let old = old.array(2).node(9001).null().tags().node(9002).null().tags().zeros(4).tags();
    assert_redirects(Api::DescribeCluster, 0, old, &[9001, 9002]);
    let new = Response::new(true).zeros(4 + 2).null().raw(&[1]).string("cluster").zeros(4);
    let new = new.array(2).node(9001).null().raw(&[0]).tags().node(9002).null().raw(&[1]).tags().zeros(4).tags();
    assert_redirects(Api::DescribeCluster, 2, new, &[9001, 9002]);
}

#[test]
fn new_leaders_in_answers_to_produce_are_redirected() {
    let partition = |response: Response| {
        let response = response.zeros(4 + 2 + 24).array(1).zeros(4).string("record").tags();
        response.string("not the leader").raw(&[1, 0, 9]).zeros(9)
    };
    let named = partition(partition(Response::new(true).array(1).string("topic").array(2))).tags().zeros(4);
    assert_redirects(Api::Produce, 10, named.new_leaders(), &[9001, 9002]);
    let by_id = partition(Response::new(true).array(1).zeros(16).array(1)).tags().zeros(4);
    assert_redirects(Api::Produce, 13, by_id.new_leaders(), &[9001, 9002]);
    let none = partition(Response::new(true).array(1).zeros(16).array(1)).tags().zeros(4).tags();
    assert_redirects(Api::Produce, 13, none, &[]);
}

#[test]
fn new_leaders_in_answers_to_fetch_are_redirected() {
    let partition = |response: Response| {
        let response = response.zeros(4 + 2 + 24).array(1).zeros(16).tags().zeros(4);
        // Records of 300 bytes, whose length takes two.
        response.raw(&[0xad, 0x02]).zeros(300).raw(&[1, 1, 9]).zeros(9)
    };
    let response = Response::new(true).zeros(4 + 2 + 4).array(2);
    let response = partition(partition(response.zeros(16).array(2))).tags();
    let response = response.zeros(16).array(1).zeros(4 + 2 + 24).null().zeros(4).null().tags().tags();
    assert_redirects(Api::Fetch, 16, response.new_leaders(), &[9001, 9002]);
}

/// As Kafka 4.1 wrote them to librdkafka when brokers had changed their parts.
#[test]
fn real_answers_of_brokers_that_are_no_leaders_any_more_are_understood() {
    let produce = "0000000c000216 6d6f7665642d313739353334363636303636302d30 02 00000000 0006 ffffffffffffffff \
        ffffffffffffffff ffffffffffffffff 01 00 01 00 09 00000003 00000002 00 00 00000000 \
        01 00 15 02 00000003 0a 3132372e302e302e31 000055c1 00 00";
    let fetch = "0000000a 00 00000000 0000 00000000 02 c7b6169787c44e15940d520edbdf59bf \
        03 00000005 004a ffffffffffffffff ffffffffffffffff ffffffffffffffff 00 ffffffff 01 01 01 09 00000001 00000001 00 \
        00000000 004a ffffffffffffffff ffffffffffffffff ffffffffffffffff 00 ffffffff 01 01 01 09 00000001 00000001 00 00 \
        01 00 15 02 00000001 0a 3132372e302e302e31 00006b1b 00 00";
    for (api, version, hex, port) in [(Api::Produce, 10, produce, 0x55c1), (Api::Fetch, 16, fetch, 0x6b1b)] {
        let digits: Vec<_> = hex.chars().filter(char::is_ascii_hexdigit).collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        let bytes: Vec<_> = digits.chunks(2).map(byte).collect();
        assert_redirects(api, version, Response { bytes, flexible: true }, &[port]);
    }
}

#[test]
fn other_responses_are_not_even_read() {
    for (api, version) in [(Api::EndTxn, 1), (Api::Produce, 9), (Api::Fetch, 15), (Api::Other(1000), 99)] {
        redirect(Head { api, version, correlation: 7 }, &mut [], |_, _| unreachable!()).unwrap();
    }
}

#[test]
fn a_response_of_a_version_that_is_not_known_is_refused() {
    let head = Head { api: Api::Metadata, version: 14, correlation: 7 };
    let error = redirect(head, &mut [0; 64], |_, port| Ok(port)).unwrap_err().to_string();
    assert!(error.contains("Metadata") && error.contains("version 14"), "{error}");
}
