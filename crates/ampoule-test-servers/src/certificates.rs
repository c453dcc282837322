//! Certificates for tests, and the CAs that sign them.

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

/// A CA for a test.
pub struct Authority {
    /// The CA's own certificate, in PEM.
    pub cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates a CA, which nothing trusts yet.
    ///
    /// # Panics
    /// If the operating system gives no random numbers.
    pub fn new(name: &str) -> Authority {
        let mut params = params_for(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("cannot generate a key: {error}"));
        let cert = params.self_signed(&key).unwrap_or_else(|error| panic!("cannot sign a certificate: {error}")).pem();
        Authority { cert, issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate for a server with this host name, or for a client with this name.
    ///
    /// # Panics
    /// If the name is not a valid host name.
    pub fn sign(&self, name: &str) -> Certificate {
        self.issue(params_for(name, &[name]))
    }

    /// Signs a certificate that has expired.
    ///
    /// # Panics
    /// As [`sign`](Authority::sign).
    pub fn sign_expired(&self, name: &str) -> Certificate {
        let mut params = params_for(name, &[name]);
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Certificate {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap_or_else(|error| panic!("cannot generate a key: {error}"));
        let cert =
            params.signed_by(&key, &self.issuer).unwrap_or_else(|error| panic!("cannot sign a certificate: {error}"));
        Certificate { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn params_for(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params =
        CertificateParams::new(hosts).unwrap_or_else(|error| panic!("invalid host name `{name}`: {error}"));
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
