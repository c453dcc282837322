//! TLS for clients, by rustls.
//!
//! The cryptography comes from the provider that the application has installed, or else from the one that a feature
//! compiles in. It is always passed explicitly, since rustls has no default if both of its own are compiled in.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::settings::{CERT_NAMES, TlsFiles, TlsMode};
use crate::error::{Error, ErrorKind};

/// The names of the file of trusted CAs, in code, settings and URLs.
const CA_NAMES: &str =
    "TlsFiles::ca; tls_ca_file in settings and in the URL of Redis, sslrootcert in that of a database";

impl TlsFiles {
    /// Checks that the files exist, and that a certificate has its key.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], which names the file.
    pub fn check(&self) -> Result<(), Error> {
        self.check_pair()?;
        self.ca.as_deref().map(certificates).transpose()?;
        self.cert.as_deref().map(certificates).transpose()?;
        self.key.as_deref().map(private_key).transpose().map(drop)
    }
}

/// Returns the configuration for a client's TLS connections.
///
/// # Errors
/// [`ErrorKind::Config`] for a file that cannot be read, or if there are no trusted certificates.
pub fn client_config(mode: TlsMode, files: &TlsFiles) -> Result<ClientConfig, Error> {
    let provider = provider()?;
    let verifier = verifier(mode, files, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| config("TLS cannot be set up", cause))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&files.cert, &files.key) else { return Ok(builder.with_no_client_auth()) };
    let wrong = |cause| config(&format!("{} and {} do not belong together", cert.display(), key.display()), cause);
    builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(wrong)
}

/// Checks that [`ensure_provider`] has a provider to install.
///
/// # Errors
/// [`ErrorKind::Config`], which names the features that bring one.
pub fn check_provider() -> Result<(), Error> {
    provider().map(drop)
}

/// Installs a provider if the application has not installed one, for drivers that use rustls's default one.
pub fn ensure_provider() {
    if let (None, Some(provider)) = (CryptoProvider::get_default(), compiled_in()) {
        // If another thread has installed one meanwhile, that one is used.
        let _ = CryptoProvider::install_default(provider.as_ref().clone());
    }
}

fn provider() -> Result<Arc<CryptoProvider>, Error> {
    CryptoProvider::get_default().cloned().or_else(compiled_in).ok_or_else(|| {
        let message = "TLS needs a provider of cryptography: build with the cargo feature `tls-ring` or `tls-aws-lc-rs`, \
                       or install a default provider of rustls";
        Error::new(ErrorKind::Config, message)
    })
}

fn compiled_in() -> Option<Arc<CryptoProvider>> {
    #[cfg(feature = "tls-ring")]
    return Some(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "tls-aws-lc-rs", not(feature = "tls-ring")))]
    return Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc-rs")))]
    None
}

/// Returns what to do about an error of a TLS handshake, if there is one among the causes.
pub fn explain(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(advice(error));
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

fn advice(error: &rustls::Error) -> String {
    use rustls::AlertDescription as Alert;
    let advice = match error {
        rustls::Error::InvalidCertificate(cause) => match cause {
            CertificateError::UnknownIssuer => {
                return format!(
                    "the server's certificate is not signed by a trusted CA: set the file of its CA ({CA_NAMES})"
                );
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is not for this host: connect by a name that it contains"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired: renew it"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet: check the clocks of both machines"
            }
            _ => return format!("the server's certificate is not accepted: {error}"),
        },
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::HandshakeFailure
            | Alert::AccessDenied,
        ) => {
            return format!(
                "the server does not accept this client's certificate: set one that its CA has signed ({CERT_NAMES})"
            );
        }
        _ => return format!("the TLS handshake failed: {error}"),
    };
    advice.to_owned()
}

fn verifier(mode: TlsMode, files: &TlsFiles, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, Error> {
    // As in libpq, `require` with a CA means `verify-ca`.
    let mode = if mode == TlsMode::Require && files.ca.is_some() { TlsMode::VerifyCa } else { mode };
    let authority = match mode {
        TlsMode::VerifyCa | TlsMode::VerifyFull => {
            let roots = Arc::new(roots(files.ca.as_deref())?);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Some(verifier.map_err(|cause| config("TLS cannot be set up", cause))?)
        }
        _ => None,
    };
    let any_name = mode == TlsMode::VerifyCa;
    Ok(Arc::new(Verifier { authority, any_name, algorithms: provider.signature_verification_algorithms }))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        for certificate in certificates(file)? {
            let wrong = |cause| config(&format!("{} contains an invalid certificate", file.display()), cause);
            roots.add(certificate).map_err(wrong)?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let message = format!("the system has no trusted certificates: set the file of the server's CA ({CA_NAMES})");
        return Err(Error::new(ErrorKind::Config, message));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |cause| config(&format!("no certificate in PEM can be read from {}", file.display()), cause);
    let found: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<_, _>>).map_err(unreadable)?;
    if found.is_empty() {
        return Err(Error::new(ErrorKind::Config, format!("{} contains no certificate in PEM", file.display())));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let unreadable = |cause| config(&format!("no private key in PEM can be read from {}", file.display()), cause);
    PrivateKeyDer::from_pem_file(file).map_err(unreadable)
}

fn config(message: &str, cause: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Config, message.to_owned()).because(cause)
}

/// Verifies as much of the certificate as the mode requires. The signatures of the handshake are verified in every
/// mode.
#[derive(Debug)]
struct Verifier {
    authority: Option<Arc<WebPkiServerVerifier>>,
    any_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authority) = &self.authority else { return Ok(ServerCertVerified::assertion()) };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
