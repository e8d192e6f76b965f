//! `isochrone cert`: certificates for programs that talk over TLS.
//!
//! Why a tool of ours: every program needs one that names the host its peers write in addresses, in the subjectAltName,
//! and the recipes that go around make others. What comes from here works for our peers and for Python's aiomas.
//!
//! Contract: a key is readable for its owner alone. Nothing is overwritten.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::Datelike;
use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Makes certificates for TLS: an authority, and one for each program that it vouches for
#[derive(Debug, Args)]
pub struct Cert {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an authority: its certificate goes to all programs, its key stays with you
    Ca(Ca),
    /// Makes a certificate for a program, signed by the authority
    Issue(Issue),
}

#[derive(Debug, Args)]
struct Ca {
    /// What it is called
    #[arg(default_value = "isochrone authority")]
    name: String,
    /// Where its certificate goes
    #[arg(long, default_value = "ca.pem")]
    out: PathBuf,
    /// Where its key goes
    #[arg(long, default_value = "ca.key")]
    key: PathBuf,
    /// For how long it is valid
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
}

#[derive(Debug, Args)]
struct Issue {
    /// Hosts, as peers write them in addresses (localhost, grid.example.org, 10.0.0.1), or identities as a URI; the first
    /// is also what the program is called
    #[arg(required = true)]
    names: Vec<String>,
    /// The authority's certificate
    #[arg(long, default_value = "ca.pem")]
    ca: PathBuf,
    /// The authority's key
    #[arg(long, default_value = "ca.key")]
    ca_key: PathBuf,
    /// Where the certificate goes; default: NAME.pem
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where its key goes; default: NAME.key
    #[arg(long)]
    key: Option<PathBuf>,
    /// For how long it is valid
    #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A file that is there already.
    #[error(
        "{path} exists, and nothing is overwritten: remove it, or let the files go elsewhere with --out and --key; \
         nothing was made"
    )]
    Exists {
        /// Which.
        path: String,
    },
    /// What a file holds, or a name, cannot be used.
    #[error("{what}: {error}")]
    Unusable {
        /// Which.
        what: String,
        /// Why.
        error: rcgen::Error,
    },
    /// There would be no file for it.
    #[error("{0:?} cannot be a file's name: say --out and --key")]
    Name(String),
}

impl Cert {
    /// Makes the files; tells which.
    ///
    /// # Errors
    /// See [`CertError`].
    pub fn run(&self) -> Result<String, CertError> {
        match &self.command {
            Command::Ca(ca) => ca.run(),
            Command::Issue(issue) => issue.run(),
        }
    }
}

impl Ca {
    fn run(&self) -> Result<String, CertError> {
        are_free([&self.key, &self.out])?;
        let unusable = unusable(&self.name);
        let mut params = params(&self.name, self.days);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(&unusable)?;
        let certificate = params.self_signed(&key).map_err(&unusable)?;
        write(&self.key, &key.serialize_pem(), true)?;
        write(&self.out, &certificate.pem(), false)?;
        Ok(format!(
            "{}: the authority's certificate, for all programs\n{}: its key, for nobody else\n",
            self.out.display(),
            self.key.display()
        ))
    }
}

impl Issue {
    fn run(&self) -> Result<String, CertError> {
        let first = self.names.first().map(String::as_str).unwrap_or_default();
        let named = |given: &Option<PathBuf>, ending: &str| match given {
            Some(path) => Ok(path.clone()),
            None if first.contains(['/', '\\', ':']) => Err(CertError::Name(first.into())),
            None => Ok(PathBuf::from(format!("{first}.{ending}"))),
        };
        let (out, key_out) = (named(&self.out, "pem")?, named(&self.key, "key")?);
        are_free([&key_out, &out])?;
        let ca_key =
            KeyPair::from_pem(&read(&self.ca_key)?).map_err(unusable(&self.ca_key.display().to_string()))?;
        let issuer = Issuer::from_ca_cert_pem(&read(&self.ca)?, ca_key)
            .map_err(unusable(&self.ca.display().to_string()))?;
        let mut params = params(first, self.days);
        for name in &self.names {
            params.subject_alt_names.push(alternative(name)?);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let unusable = unusable(first);
        let key = KeyPair::generate().map_err(&unusable)?;
        let certificate = params.signed_by(&key, &issuer).map_err(&unusable)?;
        write(&key_out, &key.serialize_pem(), true)?;
        write(&out, &certificate.pem(), false)?;
        let names = self.names.join(", ");
        Ok(format!("{}: the certificate of {names}\n{}: its key\n", out.display(), key_out.display()))
    }
}

fn params(name: &str, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let today = today();
    let date = |days: i64| {
        let date = today + chrono::TimeDelta::days(days);
        rcgen::date_time_ymd(date.year(), date.month() as u8, date.day() as u8)
    };
    // clocks differ by a day at most
    (params.not_before, params.not_after) = (date(-1), date(days.into()));
    params
}

#[allow(clippy::disallowed_methods, reason = "a certificate is valid from today on")]
fn today() -> chrono::DateTime<chrono::Utc> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    chrono::DateTime::from_timestamp(since.as_secs().try_into().unwrap_or(0), 0).unwrap_or_default()
}

fn alternative(name: &str) -> Result<SanType, CertError> {
    if let Ok(ip) = name.parse() {
        return Ok(SanType::IpAddress(ip));
    }
    let text = || name.try_into().map_err(unusable(name));
    Ok(if name.contains("://") { SanType::URI(text()?) } else { SanType::DnsName(text()?) })
}

fn unusable(what: &str) -> impl Fn(rcgen::Error) -> CertError {
    let what = what.to_string();
    move |error| CertError::Unusable { what: what.clone(), error }
}

fn file(path: &Path) -> impl Fn(io::Error) -> CertError {
    move |error| CertError::File { path: path.display().to_string(), error }
}

fn read(path: &Path) -> Result<String, CertError> {
    std::fs::read_to_string(path).map_err(file(path))
}

/// Before anything is made: half of it would be of no use.
fn are_free(paths: [&PathBuf; 2]) -> Result<(), CertError> {
    match paths.into_iter().find(|path| path.exists()) {
        Some(path) => Err(CertError::Exists { path: path.display().to_string() }),
        None => Ok(()),
    }
}

fn write(path: &Path, content: &str, secret: bool) -> Result<(), CertError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    options.open(path).and_then(|mut opened| opened.write_all(content.as_bytes())).map_err(file(path))
}
