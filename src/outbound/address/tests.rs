//! The policy against every spelling of an address we know of.

use super::*;

fn target(text: &str) -> TargetUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What the policy says of a host in a URL: the rule that refused it, if any.
fn verdict(policy: &AddressPolicy, host: &str, loopback: bool) -> Option<Rule> {
    policy.check_url(&target(&format!("http://{host}/")), loopback).err().and_then(|refusal| refusal.rule())
}

#[test]
fn only_public_addresses_are_delivered_to() {
    use Rule::*;
    let policy = AddressPolicy::default();
    for (host, rule) in [
        // loopback, in every spelling
        ("127.0.0.1", Some(Loopback)),
        ("127.0.0.1:8080", Some(Loopback)),
        ("127.0.0.1.", Some(Loopback)),
        ("127.1", Some(Loopback)),
        ("127.0.1", Some(Loopback)),
        ("127.255.255.254", Some(Loopback)),
        ("2130706433", Some(Loopback)),
        ("0x7f000001", Some(Loopback)),
        ("0X7F000001", Some(Loopback)),
        ("0x7f.0.0.1", Some(Loopback)),
        ("0x7f.1", Some(Loopback)),
        ("017700000001", Some(Loopback)),
        ("0177.0.0.1", Some(Loopback)),
        ("0177.0.0.01", Some(Loopback)),
        ("000000177.0.0.1", Some(Loopback)),
        ("127%2e0%2e0%2e1", Some(Loopback)),
        ("%31%32%37.0.0.1", Some(Loopback)),
        ("127。0。0。1", Some(Loopback)),
        ("１２７.0.0.1", Some(Loopback)),
        ("①②⑦.⓪.⓪.①", Some(Loopback)),
        ("127｡0｡0｡1", Some(Loopback)),
        ("127．0．0．1", Some(Loopback)),
        ("１２７。０。０。１", Some(Loopback)),
        ("127.0x1", Some(Loopback)),
        ("127.0.0.0x1", Some(Loopback)),
        ("0x7f.0x0.0x0.0x1", Some(Loopback)),
        ("0x7f000001.", Some(Loopback)),
        ("0177.1", Some(Loopback)),
        ("127.16777215", Some(Loopback)),
        ("localhost", Some(Loopback)),
        ("LOCALHOST", Some(Loopback)),
        ("localhost.", Some(Loopback)),
        ("localhost:3000", Some(Loopback)),
        ("loc%61lhost", Some(Loopback)),
        ("ｌocalhost", Some(Loopback)),
        ("localhost。", Some(Loopback)),
        ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", Some(Loopback)),
        ("local\u{ad}host", Some(Loopback)),
        ("a.localhost", Some(Loopback)),
        ("a.b.LocalHost.", Some(Loopback)),
        ("[::1]", Some(Loopback)),
        ("[0:0:0:0:0:0:0:1]", Some(Loopback)),
        ("[0000::0001]", Some(Loopback)),
        ("[::ffff:127.0.0.1]", Some(Loopback)),
        ("[::FFFF:7F00:1]", Some(Loopback)),
        ("[0:0:0:0:0:ffff:127.0.0.1]", Some(Loopback)),
        ("[64:ff9b::127.0.0.1]", Some(Loopback)),
        ("[64:ff9b::7f00:1]", Some(Loopback)),
        ("[0064:FF9B:0:0:0:0:127.0.0.1]", Some(Loopback)),
        // unspecified
        ("0", Some(Unspecified)),
        ("0.0.0.0", Some(Unspecified)),
        ("0.1.2.3", Some(Unspecified)),
        ("256", Some(Unspecified)),
        ("[64:ff9b::]", Some(Unspecified)),
        ("0x0", Some(Unspecified)),
        ("[::]", Some(Unspecified)),
        ("[::ffff:0.0.0.0]", Some(Unspecified)),
        // private
        ("10.0.0.1", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("167772161", Some(Private)),
        ("012.0.0.1", Some(Private)),
        ("172.16.0.1", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("192.168.1.1", Some(Private)),
        ("0xc0a80101", Some(Private)),
        ("3232235777", Some(Private)),
        ("0300.0250.1.1", Some(Private)),
        ("192.168.257", Some(Private)),
        ("10.1", Some(Private)),
        ("１０。１", Some(Private)),
        ("[::ffff:192.168.1.1]", Some(Private)),
        ("[64:ff9b::10.0.0.1]", Some(Private)),
        ("[fc00::1]", Some(Private)),
        ("[fdff:ffff::1]", Some(Private)),
        // link, site, carrier
        ("169.254.0.1", Some(LinkLocal)),
        ("[fe80::1]", Some(LinkLocal)),
        ("[febf::1]", Some(LinkLocal)),
        ("[fec0::1]", Some(SiteLocal)),
        ("100.64.0.1", Some(SharedNat)),
        ("100.127.255.255", Some(SharedNat)),
        // metadata
        ("169.254.169.254", Some(Metadata)),
        ("2852039166", Some(Metadata)),
        ("0xA9FEA9FE", Some(Metadata)),
        ("0251.0376.0251.0376", Some(Metadata)),
        ("[::ffff:169.254.169.254]", Some(Metadata)),
        ("[64:ff9b::a9fe:a9fe]", Some(Metadata)),
        ("169.254.43518", Some(Metadata)),
        ("１６９.２５４.１６９.２５４", Some(Metadata)),
        ("[0:0:0:0:0:FFFF:A9FE:A9FE]", Some(Metadata)),
        ("169.254.170.2", Some(Metadata)),
        ("169.254.170.23", Some(Metadata)),
        ("169.254.0.23", Some(Metadata)),
        ("169.254.42.42", Some(Metadata)),
        ("100.100.100.200", Some(Metadata)),
        ("192.0.0.192", Some(Metadata)),
        ("168.63.129.16", Some(Metadata)),
        ("[fd00:ec2::254]", Some(Metadata)),
        ("[fd00:ec2::23]", Some(Metadata)),
        ("[fd20:ce::254]", Some(Metadata)),
        ("[fd00:42::42]", Some(Metadata)),
        ("[fe80::a9fe:a9fe]", Some(Metadata)),
        ("metadata", Some(Metadata)),
        ("metadata.google.internal", Some(Metadata)),
        ("METADATA.Google.Internal.", Some(Metadata)),
        ("metadata。google。internal", Some(Metadata)),
        ("metadata.goog", Some(Metadata)),
        ("metadata.azure.internal", Some(Metadata)),
        ("instance-data", Some(Metadata)),
        ("instance-data.ec2.internal", Some(Metadata)),
        ("metadata.tencentyun.com", Some(Metadata)),
        // nobody or everybody
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("[ff02::1]", Some(Multicast)),
        ("255.255.255.255", Some(Broadcast)),
        ("4294967295", Some(Broadcast)),
        ("240.0.0.1", Some(Reserved)),
        ("192.0.0.1", Some(Reserved)),
        ("192.0.2.1", Some(Documentation)),
        ("198.51.100.1", Some(Documentation)),
        ("203.0.113.1", Some(Documentation)),
        ("[2001:db8::1]", Some(Documentation)),
        ("[3fff:fff::1]", Some(Documentation)),
        ("198.18.0.1", Some(Benchmarking)),
        ("198.19.255.255", Some(Benchmarking)),
        ("[2001:2::1]", Some(Benchmarking)),
        ("[100::1]", Some(Discard)),
        ("[2001:20::1]", Some(Reserved)),
        ("[4000::1]", Some(Reserved)),
        ("[5f00::1]", Some(Reserved)),
        ("[8000::1]", Some(Reserved)),
        ("[1::1]", Some(Reserved)),
        // transition: refused even around a public address
        ("[::8.8.8.8]", Some(Transition)),
        ("[::127.0.0.1]", Some(Transition)),
        ("[::ffff:0:8.8.8.8]", Some(Transition)),
        ("[64:ff9b:1::8.8.8.8]", Some(Transition)),
        ("[64:ff9b:1:fffe::127.0.0.1]", Some(Transition)),
        ("[64:ff9b:1:ffff:ffff:ffff:a00:1]", Some(Transition)),
        ("[2001::1]", Some(Transition)),
        ("[2002:a9fe:a9fe::]", Some(Transition)),
        ("[2002:7f00:1::1]", Some(Transition)),
        ("[2002:808:808::1]", Some(Transition)),
        ("[2001:0:4136:e378:8000:63bf:3fff:fdd2]", Some(Transition)),
        ("[2600::5efe:127.0.0.1]", Some(Transition)),
        ("[2600::200:5efe:8.8.8.8]", Some(Transition)),
        ("192.88.99.1", Some(Transition)),
        // nor does a public address inside make a private one public
        ("[fd00::5efe:8.8.8.8]", Some(Private)),
        ("[fe80::200:5efe:8.8.8.8]", Some(LinkLocal)),
        // public, also just beside what is not
        ("8.8.8.8", None),
        ("1.1.1.1:8443", None),
        ("9.255.255.255", None),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.128.0.0", None),
        ("126.255.255.255", None),
        ("128.0.0.0", None),
        ("169.253.255.255", None),
        ("169.255.0.0", None),
        ("172.15.255.255", None),
        ("172.32.0.0", None),
        ("192.0.1.0", None),
        ("192.167.255.255", None),
        ("192.169.0.0", None),
        ("198.17.255.255", None),
        ("198.20.0.0", None),
        ("223.255.255.255", None),
        ("[::ffff:8.8.8.8]", None),
        ("[64:ff9b::8.8.8.8]", None),
        ("[2606:4700:4700::1111]", None),
        ("[2001:200::1]", None),
        ("[2003::1]", None),
        ("[3fff:1000::1]", None),
        // names are judged by what they resolve to
        ("example.com", None),
        ("localhost.example.com", None),
        ("notlocalhost", None),
        ("metadata.example.com", None),
        ("google.internal", None),
        ("localhost.localdomain", None),
        ("ip6-localhost", None),
        ("127.0.0.1.nip.io", None),
        ("0x7f000001.example.com", None),
    ] {
        assert_eq!(verdict(&policy, host, true), rule, "{host}");
    }
}

#[test]
fn no_address_hides_in_a_url_that_programs_read_differently() {
    for text in [
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "http://example.com:80@127.0.0.1/",
        "http://example.com%40127.0.0.1/",
        "http://127.0.0.1%00.example.com/",
        "http://127.0.0.1%2f@example.com/",
        "http://127.0.0.1\t.example.com/",
        "http://[::1%eth0]/",
        "http://[::1%25lo]/",
        "http://[fe80::1%1]/",
        "http://[::ffff:127.0.0.1.]/",
        "http://[127.0.0.1]/",
        "http://1.2.3.4.5/",
        "http://127.0.0.256/",
        "http://08.0.0.1/",
        "http://0x100000000/",
        "http://4294967296/",
        "http://127..1/",
        "http:///",
        "//127.0.0.1/",
    ] {
        let parsed = text.parse::<TargetUrl>();
        let host = parsed.as_ref().map(|target| target.host().to_string());
        assert!(parsed.is_err(), "{text}: {host:?}");
    }
    // A backslash is a slash to every browser, so what comes after it is path.
    for (text, host) in [
        (r"http://8.8.8.8\@127.0.0.1/", "8.8.8.8"),
        (r"http:\\127.0.0.1\@8.8.8.8/", "127.0.0.1"),
        ("http://127.0.0.1#@8.8.8.8/", "127.0.0.1"),
        ("http://127.0.0.1?@8.8.8.8/", "127.0.0.1"),
        ("http:127.0.0.1/", "127.0.0.1"),
        ("http://:@127.0.0.1/", "127.0.0.1"),
    ] {
        assert_eq!(target(text).host().to_string(), host, "{text}");
        assert_eq!(target(text).url().host_str(), Some(host), "what is judged is what is connected to");
    }
}

#[test]
fn a_local_server_delivers_to_loopback_for_local_subscribers() {
    let demo = CompanyId(uuid::Uuid::from_u128(1));
    let local = AddressPolicy { loopback: Some(demo), ..AddressPolicy::default() };
    assert!(local.lifts_loopback(demo, true) && !local.lifts_loopback(demo, false));
    assert!(!local.lifts_loopback(CompanyId(uuid::Uuid::from_u128(2)), true), "others may be behind a proxy");
    assert!(!AddressPolicy::default().lifts_loopback(demo, true));
    for host in ["127.0.0.1", "localhost", "hooks.localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"] {
        assert_eq!(verdict(&local, host, true), None, "{host}");
        assert_eq!(verdict(&local, host, false), Some(Rule::Loopback), "{host}");
    }
    for (host, rule) in [
        ("0.0.0.0", Rule::Unspecified),
        ("10.0.0.1", Rule::Private),
        ("169.254.169.254", Rule::Metadata),
        ("[::127.0.0.1]", Rule::Transition),
        ("[64:ff9b::127.0.0.1]", Rule::Loopback),
    ] {
        assert_eq!(verdict(&local, host, true), Some(rule), "{host}");
    }
}

#[test]
fn the_allow_list_lifts_what_it_names() {
    for (allow, host, ip, passes) in [
        ("10.0.0.0/8", "10.0.0.1", "10.0.0.1", true),
        ("10.0.0.0/8", "crm.example", "10.0.0.1", true),
        ("10.0.0.0/8", "crm.example", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "crm.example", "64:ff9b::a00:1", true),
        ("64:ff9b::/96", "crm.example", "64:ff9b::a00:1", true),
        ("10.0.0.0/8", "192.168.0.1", "192.168.0.1", false),
        ("crm.example", "CRM.example.", "192.168.0.1", true),
        ("crm.example", "other.example", "192.168.0.1", false),
        ("*.crm.example", "a.crm.example", "fd00::1", true),
        ("localhost", "localhost", "::1", true),
        ("localhost", "127.0.0.1", "127.0.0.1", false),
        ("127.0.0.1", "localhost", "127.0.0.1", true),
        ("::1", "localhost", "127.0.0.1", false),
        ("2002:808:808::/48", "crm.example", "2002:808:808::1", true),
        // metadata only by its address
        ("metadata.example", "metadata.example", "169.254.169.254", false),
        ("169.254.169.254", "metadata.example", "169.254.169.254", true),
        ("169.254.0.0/16", "169.254.169.254", "169.254.169.254", true),
    ] {
        let policy = AddressPolicy { allow: allow.parse().unwrap(), loopback: None };
        let checked = policy.check_ip(host, ip.parse().unwrap(), false);
        assert_eq!(checked.is_ok(), passes, "{allow}: {host} {ip}");
    }
}

#[test]
fn localhost_passes_if_either_of_its_addresses_does() {
    for allow in ["127.0.0.1", "::1", "localhost"] {
        let policy = AddressPolicy { allow: allow.parse().unwrap(), loopback: None };
        assert_eq!(verdict(&policy, "localhost", false), None, "{allow}");
    }
}

#[test]
fn a_refusal_says_what_why_and_how_to_lift_it() {
    let policy = AddressPolicy::default();
    for (host, ip, sentence) in [
        (
            "::ffff:127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:127.0.0.1 is a loopback address (127.0.0.0/8), which webhooks may not reach; \
             to allow it, add ::ffff:127.0.0.1 to ISAO_ALLOW_TARGETS",
        ),
        (
            "crm.example",
            "10.0.0.5",
            "crm.example resolves to 10.0.0.5, a private address (10.0.0.0/8), which webhooks may not reach; \
             to allow it, add crm.example or 10.0.0.5 to ISAO_ALLOW_TARGETS",
        ),
        (
            "crm.example",
            "169.254.169.254",
            "crm.example resolves to 169.254.169.254, a cloud metadata address (169.254.169.254/32), which webhooks \
             may not reach; to allow it, add 169.254.169.254 to ISAO_ALLOW_TARGETS",
        ),
    ] {
        let refusal = policy.check_ip(host, ip.parse().unwrap(), false).unwrap_err();
        assert_eq!(refusal.to_string(), sentence);
    }
}

#[test]
fn ports_of_other_protocols_are_refused_but_for_hosts_that_are_allowed() {
    let (nobody, local) = (
        AddressPolicy::default(),
        AddressPolicy { loopback: Some(CompanyId(uuid::Uuid::nil())), ..Default::default() },
    );
    let allow = |list: &str| AddressPolicy { allow: list.parse().unwrap(), loopback: None };
    let listed = allow("hooks.example,*.lan,10.0.0.0/8,fd00::1");
    for (policy, url, loopback, allowed) in [
        (&nobody, "https://hooks.example:25/", true, false),
        (&nobody, "http://93.184.215.14:6379/", true, false),
        (&nobody, "http://[2606:4700::1111]:22/", true, false),
        (&nobody, "https://hooks.example:8443/", true, true),
        (&nobody, "https://hooks.example:443/", true, true),
        (&nobody, "https://hooks.example/", true, true),
        (&listed, "https://hooks.example:25/", true, true),
        (&listed, "https://HOOKS.example.:25/", true, true),
        (&listed, "https://a.lan:5432/", true, true),
        (&listed, "https://other.example:25/", true, false),
        (&listed, "http://10.1.2.3:5432/", true, true),
        (&listed, "http://[fd00::1]:5432/", true, true),
        (&listed, "http://93.184.215.14:5432/", true, false),
        (&local, "http://127.0.0.1:9/", true, true),
        (&local, "http://[::1]:9/", true, true),
        (&local, "http://localhost:9/", true, true),
        (&local, "http://localhost:9/", false, false),
        (&local, "http://93.184.215.14:9/", true, false),
        (&local, "http://hooks.example:9/", true, false),
    ] {
        assert_eq!(policy.check_url(&target(url), loopback).is_ok(), allowed, "{url}");
    }
    let refusal = nobody.check_url(&target("http://[2606:4700::1111]:22/"), false).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "port 22 is one at which another protocol than HTTP is spoken, so webhooks may not reach it; to allow it, \
         add 2606:4700::1111 to ISAO_ALLOW_TARGETS"
    );
}

#[test]
fn this_machine_knows_its_own_addresses() {
    for (ip, own) in [("127.0.0.1", true), ("127.8.9.10", true), ("203.0.113.7", false)] {
        assert_eq!(super::is_own(ip.parse().unwrap()), own, "{ip}");
    }
}
