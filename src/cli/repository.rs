//! Where a project lies in its repository.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The root of the repository that holds a folder.
pub fn root(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|d| d.join(".git").exists())
}

/// The folder as seen from the root of its repository, empty for the root itself: by the nearest
/// `.git`, else by what a CI job says of its checkout, if the folder lies in it (a checkout without
/// its `.git`, as in a container that only gets the files). Empty too where nothing is known.
pub fn folder(dir: &Path, env: impl Fn(&str) -> Option<OsString>) -> String {
    let Ok(dir) = dir.canonicalize() else {
        return String::new();
    };
    let checkout = || {
        ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"]
            .into_iter()
            .filter_map(|name| PathBuf::from(env(name)?).canonicalize().ok())
            .find(|root| dir.starts_with(root))
    };
    let root = root(&dir).map(Path::to_owned).or_else(checkout);
    root.and_then(|root| Some(dir.strip_prefix(root).ok()?.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_git_first_then_by_what_the_job_says() {
        let here = tempfile::tempdir().unwrap();
        let project = here.path().join("repo/infra/aws");
        std::fs::create_dir_all(&project).unwrap();
        let none = |_: &str| None;
        let job = |wanted: &'static str, at: &Path| {
            let at = at.as_os_str().to_owned();
            move |name: &str| (name == wanted).then(|| at.clone())
        };
        assert_eq!(folder(&project, none), "");
        assert_eq!(
            folder(&project, job("CI_PROJECT_DIR", &here.path().join("repo"))),
            "infra/aws"
        );
        assert_eq!(
            folder(&project, job("GITHUB_WORKSPACE", Path::new("/usr"))),
            ""
        );
        std::fs::create_dir(here.path().join("repo/infra/.git")).unwrap();
        assert_eq!(
            folder(&project, job("GITHUB_WORKSPACE", here.path())),
            "aws"
        );
    }
}
