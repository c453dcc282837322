//! Certificates for tests: a CA, what it has signed, and what it has not.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// A CA made for a test.
pub struct Authority {
    /// Its own certificate, in PEM.
    pub cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, which nothing trusts yet.
    ///
    /// # Panics
    /// If there are no random numbers.
    pub fn new(name: &str) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("no key: {error}"));
        let cert = params.self_signed(&key).unwrap_or_else(|error| panic!("no certificate: {error}")).pem();
        Authority { cert, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a server with these names, or for a client of this name.
    pub fn sign(&self, name: &str) -> Certificate {
        self.issue(named(name, &[name]))
    }

    /// One that has expired.
    pub fn sign_expired(&self, name: &str) -> Certificate {
        let mut params = named(name, &[name]);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Certificate {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("no key: {error}"));
        let cert = params.signed_by(&key, &self.issuer).unwrap_or_else(|error| panic!("no certificate: {error}"));
        Certificate { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap_or_else(|error| panic!("`{name}` is no host: {error}"));
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
