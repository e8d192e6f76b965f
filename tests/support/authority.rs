//! An authority of the tests' own, and the certificates that it issues.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names and addresses, and its key.
    pub(crate) fn issue(&self, names: &[&str], common: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName((*name).try_into().expect("a name")),
            })
            .collect();
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }

    /// The same in files, as `--tls` wants them: the authority's certificate, that one, its key.
    pub(crate) fn files(&self, directory: &Path, names: &[&str], common: &str) -> String {
        let (certificate, key) = self.issue(names, common);
        let own = |kind| format!("{common}.{kind}");
        let files = [("ca.pem".into(), self.pem.clone()), (own("pem"), certificate), (own("key"), key)];
        let paths = files.map(|(name, content)| {
            let path = directory.join(name);
            std::fs::write(&path, content).expect("written");
            path.display().to_string()
        });
        paths.join(",")
    }
}
