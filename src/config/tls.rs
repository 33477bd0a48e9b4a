//! `[server.tls]` and its like become the files of a certificate, which have to be of use.

use super::{
    document::Document,
    key_path::KeyPath,
    mistake::{Noted, Report},
    settings,
};
use crate::tls::{Files, Setting};

/// The certificate of the listener whose settings are the table `listener`, if it has one.
pub(super) fn read(
    listener: &str,
    settings: Option<&settings::Tls>,
    report: &mut Report<'_>,
) -> Result<Option<Files>, Noted> {
    let Some(settings) = settings else { return Ok(None) };
    let at = KeyPath::of([listener, "tls"]);
    let path = |setting: Setting| at.key(setting.name());
    let mut file = |setting: Setting, text: &Option<String>| match text {
        Some(text) => Ok(text.into()),
        None => Err(report.add(&path(setting), "TLS needs a certificate and its key")),
    };
    let certificate = file(Setting::Certificate, &settings.certificate_file);
    let key = file(Setting::Key, &settings.key_file);
    let files = Files { certificate: certificate?, key: key? };
    match files.read() {
        Ok(_) => Ok(Some(files)),
        Err(unusable) => Err(report.add(&path(unusable.setting), &unusable.why)),
    }
}

/// Whether the configuration wants TLS on this listener, be it in order or not.
pub(super) fn is_wanted(listener: &str, document: &Document<'_>) -> bool {
    document.has(&KeyPath::of([listener, "tls"]))
}
