//! Folders that only their owner may use, for stores that keep files.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

/// Creates a folder of mode 0700, and the missing ones above it.
///
/// If root calls it, the folder gets the [owner](inherit_owner) of the folder above it: a tool that root runs must not
/// leave a folder that the site's user cannot enter.
///
/// # Errors
/// Any error of the file system; also if the path exists and is not a folder.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let mut made = builder.create(path);
    if let (Err(error), Some(above)) = (&made, path.parent())
        && error.kind() == io::ErrorKind::NotFound
        && above != Path::new("")
    {
        make_private_folder(above)?;
        // Once: a file system such as proc returns this error although the folder above exists.
        made = builder.create(path);
    }
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.metadata()?.is_dir() => Ok(()),
        made => made.map(|()| inherit_owner(path)),
    }
}

/// Gives a file that root has just made to the owner of the folder that contains it. For other users, who may not, it
/// does nothing.
#[cfg(unix)]
pub fn inherit_owner(path: &Path) {
    use std::os::unix::fs::{MetadataExt, lchown};
    let above = path.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
    if let (Ok(made), Ok(above)) = (path.symlink_metadata(), above.metadata())
        && made.uid() == 0
        && above.uid() != 0
    {
        // If even root may not, the file stays root's, and its first use by another user returns an error that says so.
        let _ = lchown(path, Some(above.uid()), Some(above.gid()));
    }
}

/// Does nothing: this system has no such owners.
#[cfg(not(unix))]
pub fn inherit_owner(_: &Path) {}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use super::*;

    #[test]
    fn folders_are_made_with_all_above_and_are_private() {
        let root = std::env::temp_dir().join(format!("ampoule-folders-{}", std::process::id()));
        make_private_folder(&root.join("a/b")).unwrap();
        make_private_folder(&root.join("a/b")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let in_a_file = make_private_folder(&root.join("file/b"));
        let over_a_file = make_private_folder(&root.join("file"));
        let mode = root.join("a/b").metadata().unwrap().permissions().mode() & 0o777;
        let is_root = root.metadata().unwrap().uid() == 0;
        let given_away = is_root.then(|| {
            chown(root.join("a"), Some(65_534), Some(65_534)).unwrap();
            make_private_folder(&root.join("a/c/d")).unwrap();
            root.join("a/c/d").metadata().unwrap().uid()
        });
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!((mode, given_away), (0o700, is_root.then_some(65_534)));
        assert!(in_a_file.is_err() && over_a_file.is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_that_creates_no_folders_is_an_error() {
        let error = make_private_folder(Path::new("/proc/ampoule/sessions")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
