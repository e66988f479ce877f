//! CronJobs, with the project's files in a ConfigMap.

use super::quote::{comment, yaml};
use super::{Account, CLEANUP, EXIT_CODES, File, Job, Kind, Place, comments, made_by};

/// Where EKS mounts the token of a service account that has a role.
const TOKEN: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
/// What a ConfigMap holds at most, in bytes.
const MOST: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct Settings {
    pub image: String,
    pub namespace: Option<String>,
    /// One that exists; one is made if none is named.
    pub service_account: Option<String>,
    /// The project's files: relative path and text.
    pub files: Vec<(String, String)>,
}

/// # Errors
/// What Kubernetes cannot do.
pub fn file(jobs: &[Job], place: &Place, settings: &Settings) -> Result<File, String> {
    if place.tolerate {
        return Err("Kubernetes cannot take an exit code for a success: leave out --tolerate-findings, and alert on the reason of the failed job".to_owned());
    }
    let size: usize = settings.files.iter().map(|(p, t)| p.len() + t.len()).sum();
    if size + 4096 > MOST {
        return Err(format!(
            "the project's files have {size} bytes, more than a ConfigMap holds"
        ));
    }
    let profiles = profiles(jobs)?;
    let mut text = made_by(place, "kubernetes");
    text.push_str("# Apply it:  kubectl apply -f FILE. Times are UTC.\n");
    text.push_str(EXIT_CODES);
    text.push_str("# There is no secret in here: pods take on their role by their service account (IRSA, or EKS Pod Identity).\n");
    let account = match &settings.service_account {
        Some(name) => name.clone(),
        None => {
            service_account(&mut text, jobs, place, settings);
            place.name.clone()
        }
    };
    config_map(&mut text, place, settings, &profiles);
    for job in jobs {
        cron_job(
            &mut text,
            job,
            place,
            settings,
            &account,
            !profiles.is_empty(),
        );
    }
    Ok(File {
        path: format!("{}.yaml", place.name),
        text,
    })
}

/// The profiles that `opsctl.toml` names, as an AWS configuration file: a pod has none.
fn profiles(jobs: &[Job]) -> Result<String, String> {
    let mut out = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for account in jobs.iter().flat_map(|j| &j.accounts) {
        let Account {
            environment,
            profile: Some(profile),
            role_arn,
            region,
            ..
        } = account
        else {
            continue;
        };
        if seen.contains(&environment.as_str()) {
            continue;
        }
        seen.push(environment);
        let role = role_arn.as_ref().ok_or_else(|| {
            format!("{environment} uses the profile `{profile}`, which no pod has: name the role that the pod takes on instead, --role-arn {environment}=arn:aws:iam::{}:role/…", account.account)
        })?;
        out.push_str(&format!(
            "[profile {profile}]\nrole_arn = {role}\nweb_identity_token_file = {TOKEN}\nregion = {region}\n"
        ));
    }
    Ok(out)
}

fn head(text: &mut String, api: &str, kind: &str, name: &str, settings: &Settings) {
    text.push_str(&format!(
        "---\napiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n"
    ));
    if let Some(namespace) = &settings.namespace {
        text.push_str(&format!("  namespace: {}\n", yaml(namespace)));
    }
    text.push_str("  labels:\n    app.kubernetes.io/name: opsctl\n");
}

fn service_account(text: &mut String, jobs: &[Job], place: &Place, settings: &Settings) {
    head(text, "v1", "ServiceAccount", &place.name, settings);
    // A service account has one role; other accounts' roles are assumed with its token.
    let role = jobs
        .iter()
        .flat_map(|j| &j.accounts)
        .find_map(|a| a.role_arn.as_ref());
    match role {
        Some(role) => text.push_str(&format!(
            "  annotations:\n    eks.amazonaws.com/role-arn: {}\n",
            yaml(role)
        )),
        None => text.push_str(&format!(
            "  # Its role: make this file anew with --role-arn (IRSA), or associate one (EKS Pod Identity):\n  #   aws eks create-pod-identity-association --service-account {} …\n",
            place.name
        )),
    }
}

fn key(path: &str) -> String {
    path.replace('/', ".")
}

fn config_map(text: &mut String, place: &Place, settings: &Settings, profiles: &str) {
    head(text, "v1", "ConfigMap", &place.name, settings);
    text.push_str("data:\n");
    for (path, content) in &settings.files {
        text.push_str(&format!("  {}: {}\n", yaml(&key(path)), yaml(content)));
    }
    if !profiles.is_empty() {
        text.push_str(&format!("  aws-config: {}\n", yaml(profiles)));
    }
}

fn cron_job(
    text: &mut String,
    job: &Job,
    place: &Place,
    settings: &Settings,
    account: &str,
    profiles: bool,
) {
    text.push_str(&format!(
        "---\n# {}: {}\n",
        comment(&job.title),
        job.cadence.words()
    ));
    text.push_str(&comments("", &job.why));
    let mut metadata = String::new();
    head(&mut metadata, "batch/v1", "CronJob", &job.name, settings);
    text.push_str(metadata.trim_start_matches("---\n"));
    let late = (job.cadence.longest_gap_seconds() / 2).min(86_400);
    let grace = match job.kind {
        Kind::Drill => CLEANUP.as_secs() + 300,
        Kind::Audit | Kind::Status => 60,
    };
    text.push_str(&format!(
        "spec:\n  schedule: {}\n  timeZone: Etc/UTC\n  concurrencyPolicy: Forbid\n  startingDeadlineSeconds: {late} # a start that was missed is made up for\n  successfulJobsHistoryLimit: 3\n  failedJobsHistoryLimit: 5\n  jobTemplate:\n    spec:\n      activeDeadlineSeconds: {} # more than its own limits: opsctl should end by itself\n",
        yaml(&job.cron()),
        job.longest_seconds + 900 + grace
    ));
    text.push_str("      # A pod that was evicted is tried again; what opsctl itself said is not asked twice.\n      backoffLimit: 2\n      podFailurePolicy:\n        rules:\n          - action: Ignore\n            onPodConditions:\n              - type: DisruptionTarget\n          - action: FailJob\n            onExitCodes:\n              containerName: opsctl\n              operator: In\n              values: [1, 2, 3, 130, 143]\n");
    text.push_str(&format!(
        "      template:\n        metadata:\n          labels:\n            app.kubernetes.io/name: opsctl\n          annotations:\n            cluster-autoscaler.kubernetes.io/safe-to-evict: \"false\"\n        spec:\n          serviceAccountName: {}\n          restartPolicy: Never\n",
        yaml(account)
    ));
    if job.kind == Kind::Drill {
        text.push_str("          # A drill that is stopped removes its copy first.\n");
    }
    text.push_str(&format!(
        "          terminationGracePeriodSeconds: {grace}\n          securityContext:\n            runAsNonRoot: true # the image has to name a user by number\n            seccompProfile:\n              type: RuntimeDefault\n          containers:\n            - name: opsctl\n              image: {}\n              command: [{}]\n              args:\n",
        yaml(&settings.image),
        yaml(&place.binary)
    ));
    for argument in &job.arguments {
        text.push_str(&format!("                - {}\n", yaml(argument)));
    }
    text.push_str("              workingDir: /project\n              env:\n                - name: HOME\n                  value: /tmp\n                - name: OPSCTL_SCHEDULE\n                  value: kubernetes\n");
    if profiles {
        text.push_str("                - name: AWS_CONFIG_FILE\n                  value: /etc/opsctl/aws-config\n");
    }
    text.push_str("              securityContext:\n                allowPrivilegeEscalation: false\n                readOnlyRootFilesystem: true\n                capabilities:\n                  drop: [ALL]\n              resources:\n                requests:\n                  cpu: 100m\n                  memory: 128Mi\n              volumeMounts:\n                - name: state\n                  mountPath: /project\n");
    let mut folders: Vec<&str> = Vec::new();
    for (path, _) in &settings.files {
        match path.split_once('/') {
            None => text.push_str(&format!(
                "                - name: files\n                  mountPath: /project/{path}\n                  subPath: {path}\n                  readOnly: true\n"
            )),
            Some((folder, _)) if !folders.contains(&folder) => {
                folders.push(folder);
                text.push_str(&format!(
                    "                - name: {folder}\n                  mountPath: /project/{folder}\n                  readOnly: true\n"
                ));
            }
            Some(_) => {}
        }
    }
    if profiles {
        text.push_str("                - name: files\n                  mountPath: /etc/opsctl/aws-config\n                  subPath: aws-config\n                  readOnly: true\n");
    }
    text.push_str(
        "                - name: tmp\n                  mountPath: /tmp\n          volumes:\n",
    );
    text.push_str(match place.evidence {
        true => "            - name: state # records are kept in the evidence bucket\n              emptyDir: {}\n",
        false => "            - name: state # records of drills go away with the pod: set [evidence] in opsctl.toml\n              emptyDir: {}\n",
    });
    text.push_str("            - name: tmp\n              emptyDir: {}\n");
    text.push_str(&format!(
        "            - name: files\n              configMap:\n                name: {}\n",
        place.name
    ));
    for folder in folders {
        text.push_str(&format!("            - name: {folder}\n              configMap:\n                name: {}\n                items:\n", place.name));
        for (path, _) in &settings.files {
            if let Some(name) = path.strip_prefix(folder).and_then(|p| p.strip_prefix('/')) {
                text.push_str(&format!(
                    "                  - key: {}\n                    path: {}\n",
                    yaml(&key(path)),
                    yaml(name)
                ));
            }
        }
    }
}
