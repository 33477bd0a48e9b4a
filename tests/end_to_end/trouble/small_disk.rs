//! A small disk, in a mount namespace of its own, so that it goes when the test ends.

use crate::{installation::Installation, process::Running};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A tmpfs that a process of ours keeps mounted.
pub(super) struct SmallDisk {
    keeper: Running,
    mounted_at: PathBuf,
    privileged: bool,
}

impl SmallDisk {
    /// Mounts one with these options at `path`, which is made. Root can do that;
    /// everybody else does it as root of a user namespace of their own.
    pub(super) fn mount(path: &Path, options: &str) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let privileged = rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !privileged {
            command.args(["--user", "--map-root-user"]);
        }
        // It lives until its standard input ends, which is when it is let go of.
        let script = r#"mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && exec cat"#;
        command.args(["sh", "-c", script, "sh", options]).arg(path);
        let keeper = Running::start(&mut command);
        assert_eq!(keeper.wait_for_output(1), ["mounted"]);
        Self { keeper, mounted_at: path.to_owned(), privileged }
    }

    /// Has our programs called where the disk is mounted.
    pub(super) fn contains(&self, installation: &mut Installation) {
        let target = self.keeper.id().to_string();
        let mut through = vec!["nsenter", "--target", &target, "--mount"];
        if !self.privileged {
            through.extend(["--user", "--preserve-credentials"]);
        }
        installation.call_through(through.into_iter().map(str::to_owned).collect());
    }

    /// Where the disk is from outside.
    pub(super) fn path_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.mounted_at.strip_prefix("/").unwrap())
    }
}
