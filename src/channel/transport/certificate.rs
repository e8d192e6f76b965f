//! Whom a certificate names.
//!
//! Why our own reader: rustls checks certificates and tells no names, and the names are what policies are about. Only
//! certificates whose chain rustls has verified, and our own, come here.
//!
//! Contract: names are `dns:`, `uri:` and `ip:` from the subjectAltName, then `cn:` from the subject. At most 64.
//!
//! Failure modes: what cannot be read names nobody; no input panics or costs more than its length.

use std::net::{Ipv4Addr, Ipv6Addr};

const MOST_NAMES: usize = 64;

const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];

/// What a certificate says of its owner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// From the subjectAltName.
    pub(super) alternative: Vec<String>,
    /// From the subject.
    pub(super) common: Vec<String>,
}

impl Names {
    /// Reads a certificate in DER.
    pub(super) fn of(der: &[u8]) -> Names {
        let mut names = Names::default();
        let _ = names.read(der);
        names
    }

    /// All of them.
    pub(super) fn into_identities(self) -> Vec<String> {
        self.alternative.into_iter().chain(self.common).collect()
    }

    fn read(&mut self, der: &[u8]) -> Option<()> {
        let mut certificate = Der(Der(der).expect(SEQUENCE)?);
        let mut signed = Der(certificate.expect(SEQUENCE)?);
        let mut next = signed.next()?;
        if next.0 == VERSION {
            next = signed.next()?;
        }
        if next.0 != INTEGER {
            return None;
        }
        for _ in ["algorithm", "issuer", "validity"] {
            signed.expect(SEQUENCE)?;
        }
        let (subject, _key) = (signed.expect(SEQUENCE)?, signed.expect(SEQUENCE)?);
        self.read_subject(subject);
        while let Some((tag, content)) = signed.next() {
            if tag == EXTENSIONS {
                self.read_extensions(Der(content).expect(SEQUENCE)?);
            }
        }
        Some(())
    }

    fn read_subject(&mut self, subject: &[u8]) -> Option<()> {
        let mut subject = Der(subject);
        loop {
            let mut set = Der(subject.expect(SET)?);
            while let Some(attribute) = set.expect(SEQUENCE) {
                let mut attribute = Der(attribute);
                if attribute.expect(OID)? == COMMON_NAME {
                    let (_, name) = attribute.next()?;
                    push(&mut self.common, "cn", std::str::from_utf8(name).ok()?);
                }
            }
        }
    }

    fn read_extensions(&mut self, extensions: &[u8]) -> Option<()> {
        let mut extensions = Der(extensions);
        loop {
            let mut extension = Der(extensions.expect(SEQUENCE)?);
            if extension.expect(OID)? != SUBJECT_ALT_NAME {
                continue;
            }
            // a flag may come first that says whether it is critical
            while let Some((tag, content)) = extension.next() {
                if tag == OCTETS {
                    self.read_alternative(Der(content).expect(SEQUENCE)?);
                }
            }
        }
    }

    fn read_alternative(&mut self, names: &[u8]) {
        let mut names = Der(names);
        while let Some((tag, name)) = names.next() {
            let text = || std::str::from_utf8(name).ok();
            match (tag, name.len()) {
                (0x82, _) => text().into_iter().for_each(|name| push(&mut self.alternative, "dns", name)),
                (0x86, _) => text().into_iter().for_each(|name| push(&mut self.alternative, "uri", name)),
                (0x87, 4) => {
                    if let Ok(ip) = <[u8; 4]>::try_from(name) {
                        push(&mut self.alternative, "ip", &Ipv4Addr::from(ip).to_string());
                    }
                }
                (0x87, 16) => {
                    if let Ok(ip) = <[u8; 16]>::try_from(name) {
                        push(&mut self.alternative, "ip", &Ipv6Addr::from(ip).to_string());
                    }
                }
                _ => {}
            }
        }
    }
}

fn push(names: &mut Vec<String>, kind: &str, name: &str) {
    if names.len() < MOST_NAMES {
        names.push(format!("{kind}:{name}"));
    }
}

/// What is left to read of a sequence of values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut len = usize::from(first);
        if first >= 0x80 {
            let bytes = usize::from(first & 0x7F);
            if bytes == 0 || bytes > 4 {
                return None;
            }
            let (digits, after) = rest.split_at_checked(bytes)?;
            len = digits
                .iter()
                .try_fold(0usize, |len, digit| len.checked_mul(256)?.checked_add((*digit).into()))?;
            rest = after;
        }
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next value's content if it has this tag; else nothing is read.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        let (got, content) = self.next()?;
        if got != tag {
            self.0 = before;
            return None;
        }
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[SanType], common: &str) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.distinguished_name.push(DnType::OrganizationName, "somebody");
        params.distinguished_name.push(DnType::CommonName, common);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_names_its_owner() {
        let names = [
            SanType::DnsName("grid.example.org".try_into().unwrap()),
            SanType::URI("agent://grid/7".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
        ];
        let identities = Names::of(&certificate(&names, "grid")).into_identities();
        assert_eq!(
            identities,
            ["dns:grid.example.org", "uri:agent://grid/7", "ip:10.0.0.1", "ip:::1", "cn:grid"]
        );
        let names = Names::of(&certificate(&[], "grid"));
        assert_eq!((names.alternative, names.common), (vec![], vec!["cn:grid".to_string()]));
    }

    #[test]
    fn what_is_cut_or_bent_names_somebody_else_or_nobody_and_never_panics() {
        let whole = certificate(&[SanType::DnsName("a.b".try_into().unwrap())], "grid");
        for at in 0..whole.len() {
            Names::of(&whole[..at]);
            for bit in 0..8 {
                let mut bent = whole.clone();
                bent[at] ^= 1 << bit;
                Names::of(&bent);
            }
        }
        assert_eq!(Names::of(b""), Names::default());
        assert_eq!(Names::of(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), Names::default());
    }
}
