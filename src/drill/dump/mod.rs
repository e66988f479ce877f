//! Dumps in S3: the newest one under a prefix is downloaded, proven to be what was uploaded, and
//! restored into a scratch PostgreSQL.
//!
//! | content | restored by |
//! |---|---|
//! | `pg_dump -Fc`, `-Ft` | `pg_restore` |
//! | a folder of objects with `toc.dat`, or a tar of it | `pg_restore --format=directory` |
//! | plain SQL, of one database or of `pg_dumpall` | `psql` |
//! | any of these in gzip or zstd | the same, unpacked on the way |
//!
//! A dump is code: restoring it runs what is in it, as the user that the scratch PostgreSQL runs as
//! and without the environment of opsctl.

mod choose;
mod fetch;
mod format;
mod load;
mod proof;
mod statements;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::checks::{self, sql_checks};
use super::driver::Driver;
use super::folder::{Folder, RunAs, place};
use super::journal::Thing;
use super::probe::{self, Connection};
use super::record::{
    CheckRecord, Cleanup, CopyRecord, RecoveryPoint, SourceRecord, seconds_between, to_millis,
};
use super::scratch::Scratch;
use super::source::{Context, Preflight, Source, Stop};
use super::spec::{SourceId, Spec};
use super::tools::{self, Tools};
use crate::cloud::store::{BucketPlace, ObjectStore};
use choose::Candidate;
use load::{Load, Unloaded};

/// Room on the disk besides the dump itself, in bytes.
const SPARE: u64 = 256 << 20;
/// Data transfer out of AWS to the internet, USD per GB; nothing inside the region.
/// Source: S3 pricing, us-east-1, 2026.
const OUT_USD_PER_GB: Decimal = Decimal::from_parts(9, 0, 0, false, 2);

/// A dump in S3.
pub struct Dump<'a> {
    store: &'a dyn ObjectStore,
    spec: &'a Spec,
    run_id: &'a str,
    bucket: String,
    prefix: String,
    tools: Vec<Tools>,
    /// A server that somebody named, instead of one of our own.
    server: Option<Connection>,
    run_as: Option<RunAs>,
    place: Option<BucketPlace>,
    chosen: Option<Candidate>,
    point: Option<RecoveryPoint>,
    /// When the preflight was.
    looked_at: Option<Timestamp>,
    source: SourceRecord,
    folder: Option<Folder>,
    scratch: Option<Scratch>,
    /// On the named server.
    database: Option<String>,
    connection: Option<Connection>,
}

impl<'a> Dump<'a> {
    /// `None`: the drill has another kind of source.
    pub fn new(store: &'a dyn ObjectStore, spec: &'a Spec, run_id: &'a str) -> Option<Dump<'a>> {
        let SourceId::Dump { bucket, prefix } = &spec.id else {
            return None;
        };
        Some(Dump {
            store,
            spec,
            run_id,
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            tools: Vec::new(),
            server: None,
            run_as: None,
            place: None,
            chosen: None,
            point: None,
            looked_at: None,
            source: SourceRecord {
                id: spec.source.clone(),
                engine: Some("postgres".to_owned()),
                ..SourceRecord::default()
            },
            folder: None,
            scratch: None,
            database: None,
            connection: None,
        })
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// What this machine has to have; looked at before anything is asked of AWS.
    async fn ready(&mut self) -> Result<(), Stop> {
        if let Some(url) = &self.spec.restore.scratch {
            let password = std::env::var("PGPASSWORD").ok();
            let server = Connection::from_url(url, password).map_err(Stop::could_not_run)?;
            probe::ping(&server).await.map_err(|e| {
                Stop::could_not_run(format!(
                    "the scratch server {} cannot be reached: {e}",
                    server.shown()
                ))
            })?;
            self.server = Some(server);
        }
        let own = self.server.is_none();
        self.tools = tokio::task::spawn_blocking(move || Tools::find(own))
            .await
            .map_err(|e| Stop::could_not_run(e.to_string()))?;
        if self.tools.is_empty() {
            let needed = match own {
                true => "initdb, postgres, pg_restore and psql",
                false => "pg_restore and psql",
            };
            return Err(Stop::CouldNotRun(
                format!(
                    "this machine has no PostgreSQL programs ({needed}): nothing was downloaded"
                ),
                Some(tools::INSTALL.to_owned()),
            ));
        }
        self.run_as = RunAs::choose().map_err(Stop::could_not_run)?;
        Ok(())
    }

    async fn choose(&mut self) -> Result<Result<Candidate, Stop>, Stop> {
        let asked_in = self.spec.target.regions.first().cloned();
        let asked_in = asked_in.unwrap_or_else(|| "us-east-1".to_owned());
        let denied = |e: crate::cloud::CloudError| Stop::could_not_run(e.to_string());
        let target = &self.spec.target;
        let region = self
            .store
            .bucket_region(target, &asked_in, &self.bucket)
            .await
            .map_err(|e| {
                let why = format!("the bucket {} cannot be reached: {e}", self.bucket);
                Stop::CouldNotRun(
                    why,
                    Some(
                        "is the name right, and may these credentials s3:ListBucket it?".to_owned(),
                    ),
                )
            })?;
        let place = BucketPlace {
            target: target.clone(),
            region,
            bucket: self.bucket.clone(),
        };
        let listed = self.store.list_objects(&place, &self.prefix, None).await;
        self.place = Some(place);
        Ok(choose::candidates(listed.map_err(denied)?)
            .into_iter()
            .next()
            .ok_or_else(|| {
                Stop::failed(format!("there is no dump under {}", self.url(&self.prefix)))
            }))
    }

    fn place(&self) -> Result<&BucketPlace, Stop> {
        self.place
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))
    }

    fn free_space(&self, bytes: u64) -> Result<(), Stop> {
        let folder = place(self.run_id);
        let parent = folder.parent().unwrap_or(Path::new("/tmp"));
        match Folder::free(parent) {
            Some(free) if free < bytes.saturating_add(SPARE) => Err(Stop::CouldNotRun(
                format!(
                    "{} has {} free, and the dump alone has {}: nothing was downloaded",
                    parent.display(),
                    size(free),
                    size(bytes)
                ),
                Some("TMPDIR says where the scratch PostgreSQL and the dump go".to_owned()),
            )),
            _ => Ok(()),
        }
    }

    /// What the download is, and the programs that can read it.
    async fn inspect(&mut self, path: &Path) -> Result<(Option<format::Kind>, Tools), Stop> {
        let is_folder = path.is_dir();
        let looked = path.to_owned();
        let url = self
            .chosen
            .as_ref()
            .map(|c| self.url(&c.key))
            .unwrap_or_default();
        let bad = |e: String| Stop::failed(format!("{url}: {e}"));
        let kind = tokio::task::spawn_blocking(move || match is_folder {
            true => Ok(None),
            false => format::detect(&looked).map(Some),
        })
        .await
        .map_err(|e| Stop::could_not_run(e.to_string()))?
        .map_err(bad)?;
        let header = match is_folder {
            true => std::fs::read(path.join("toc.dat"))
                .ok()
                .and_then(|bytes| format::Header::read(&bytes)),
            false => None,
        };
        let (by, from) = match (&kind, &header) {
            (Some(kind), _) => kind.versions(),
            (None, Some(header)) => (header.dumped_by.as_deref(), header.dumped_from.as_deref()),
            (None, None) => return Err(bad("its toc.dat is not one".to_owned())),
        };
        self.source.engine_version = from.map(str::to_owned);
        let major = by.and_then(tools::major_of);
        let chosen = Tools::for_version(&self.tools, major)
            .ok_or_else(|| Stop::could_not_run("no PostgreSQL programs"))?;
        if let Some(major) = major
            && major > chosen.major
        {
            return Err(bad(format!(
                "it was made by pg_dump {}, and the newest PostgreSQL here is {} ({}): an older one cannot read it; install PostgreSQL {major}",
                by.unwrap_or_default(),
                chosen.version,
                chosen.bin.display()
            )));
        }
        let chosen = chosen.clone();
        Ok((kind, chosen))
    }

    /// A server with an empty database on it.
    async fn open(&mut self, context: &Context<'_>, tools: &Tools) -> Result<Connection, Stop> {
        let name = match &self.server {
            None => self.spec.database().to_owned(),
            // Ours by its name, and nobody else's by the run in it.
            Some(_) => format!(
                "opsctl_drill_{}",
                self.run_id.replace('-', "_").to_lowercase()
            ),
        };
        let base = match &self.server {
            Some(server) => {
                context.intent(&Thing::ScratchDatabase {
                    drill: self.spec.name.clone(),
                    database: name.clone(),
                })?;
                self.database = Some(name.clone());
                server.clone()
            }
            None => {
                let folder = self
                    .folder
                    .as_ref()
                    .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
                let scratch = Scratch::start(folder, tools, self.spec.user())
                    .await
                    .map_err(Stop::could_not_run)?;
                let connection = scratch.connection.clone();
                self.scratch = Some(scratch);
                connection
            }
        };
        let there = matches!(name.as_str(), "postgres" | "template1") && self.server.is_none();
        if !there {
            probe::create_database(&base, &name)
                .await
                .map_err(|e| Stop::could_not_run(format!("the scratch database: {e}")))?;
        }
        let connection = base.on(&name);
        self.connection = Some(connection.clone());
        Ok(connection)
    }
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

#[async_trait]
impl Source for Dump<'_> {
    async fn preflight(&mut self, now: Timestamp) -> Result<Preflight, Stop> {
        self.ready().await?;
        let mut out = Preflight {
            source: self.source.clone(),
            ..Preflight::default()
        };
        let chosen = match self.choose().await? {
            Ok(chosen) => chosen,
            Err(stop) => {
                out.stop = Some(stop);
                return Ok(out);
            }
        };
        let bytes = chosen.bytes();
        let url = self.url(&chosen.key);
        let region = self.place()?.region.clone();
        let data_time = to_millis(chosen.data_time);
        out.recovery_point = Some(RecoveryPoint {
            kind: "dump".to_owned(),
            arn: format!(
                "arn:{}:s3:::{}/{}",
                crate::model::partition(&region),
                self.bucket,
                chosen.key
            ),
            data_time,
            data_time_basis: "LastModified".to_owned(),
            age_seconds: seconds_between(data_time, now),
            size_bytes: Some(bytes),
        });
        self.point.clone_from(&out.recovery_point);
        self.looked_at = Some(now);
        out.region = region;
        let gigabytes = Decimal::from(bytes) / Decimal::from(1_000_000_000u64);
        out.estimated_cost_usd = gigabytes * OUT_USD_PER_GB;
        out.cost_basis = format!(
            "{} at {OUT_USD_PER_GB} USD per GB out of AWS; nothing from inside the region",
            size(bytes)
        );
        out.steps = vec![
            format!("download {url} ({}) and verify its checksum", size(bytes)),
            match &self.server {
                None => format!(
                    "start a scratch PostgreSQL ({})",
                    self.tools.first().map_or("", |t| t.version.as_str())
                ),
                Some(server) => format!("make a database on {}", server.shown()),
            },
            "restore the dump".to_owned(),
            checks::step(self.spec.checks.len()),
            "stop the server and remove everything".to_owned(),
        ];
        let empty = chosen.objects.iter().all(|o| o.bytes == 0);
        let archived = chosen
            .objects
            .iter()
            .find(|o| choose::unreadable(&o.storage_class, None).is_some());
        if empty {
            out.stop = Some(Stop::failed(format!("{url} is empty (0 bytes)")));
        } else if let Some(archived) = archived {
            let head = self.head(&archived.key).await?;
            out.stop = choose::unreadable(&head.storage_class, head.restore.as_deref())
                .map(|why| Stop::failed(format!("{}: {why}", self.url(&archived.key))));
        }
        if let Some(first) = chosen.objects.first() {
            let head = self.head(&first.key).await?;
            self.source.encrypted = Some(head.encryption.is_some());
            self.source.resource_id = Some(match &head.version {
                Some(version) => format!("{url}?versionId={version}"),
                None => url.clone(),
            });
            out.source = self.source.clone();
        }
        self.chosen = Some(chosen);
        if out.stop.is_none() {
            out.stop = self.free_space(bytes).err();
        }
        Ok(out)
    }

    async fn restore(&mut self, context: &Context<'_>) -> Result<CopyRecord, Stop> {
        let path = place(self.run_id);
        context.intent(&Thing::ScratchFolder { path: path.clone() })?;
        self.folder =
            Some(Folder::create(&path, self.run_id, self.run_as).map_err(Stop::could_not_run)?);
        let bytes = self.chosen.as_ref().map_or(0, Candidate::bytes);
        let file = context
            .step("download", async {
                let (file, proof) = self.download(context).await?;
                Ok((file, format!("{}, {proof}", size(bytes))))
            })
            .await?;
        let (kind, tools) = context
            .step("inspect", async {
                let (kind, tools) = self.inspect(&file).await?;
                let what = kind
                    .as_ref()
                    .map_or("directory archive".to_owned(), format::Kind::name);
                let by = kind
                    .as_ref()
                    .and_then(|k| k.versions().0.map(str::to_owned));
                let detail = match by {
                    Some(by) => format!("{what} of pg_dump {by}"),
                    None => what,
                };
                let made = match &kind {
                    Some(kind) => kind.made(),
                    None => std::fs::read(file.join("toc.dat"))
                        .ok()
                        .and_then(|bytes| format::Header::read(&bytes)?.made),
                };
                if let (Some(made), Some(point), Some(at)) = (made, &mut self.point, self.looked_at)
                {
                    choose::dated(point, made, at, self.spec.rpo)?;
                }
                Ok(((kind, tools), detail))
            })
            .await?;
        let connection = context
            .step("start PostgreSQL", async {
                let connection = self.open(context, &tools).await?;
                let version = probe::version(&connection).await.unwrap_or_default();
                let detail = format!("PostgreSQL {version} on {}", connection.shown());
                Ok(((connection, version), detail))
            })
            .await?;
        let (connection, version) = connection;
        let url = self
            .chosen
            .as_ref()
            .map(|c| self.url(&c.key))
            .unwrap_or_default();
        context
            .step("restore", async {
                let folder = self
                    .folder
                    .as_ref()
                    .ok_or_else(|| Stop::could_not_run("the drill was not prepared"))?;
                let load = Load {
                    tools: &tools,
                    folder,
                    connection: &connection,
                    own: self.server.is_none(),
                    progress: &|fed| context.progress(&format!("{} restored", size(fed))),
                };
                let loaded = match &kind {
                    Some(kind) => load.file(&file, kind).await,
                    None => load.directory(&file).await.map_err(Unloaded::Broken),
                };
                loaded.map(|said| ((), said)).map_err(|e| match e {
                    Unloaded::Broken(why) => {
                        Stop::failed(format!("{url} cannot be restored: {why}"))
                    }
                    Unloaded::NotHere(what) => Stop::CouldNotRun(
                        format!(
                            "{url} would change more on the server of restore.scratch than the drill's own database, so psql was stopped before it: {what}"
                        ),
                        Some(
                            "without restore.scratch the drill has a PostgreSQL of its own; or make the dump without --create, and of one database"
                                .to_owned(),
                        ),
                    ),
                })
            })
            .await?;
        Ok(CopyRecord {
            id: match &self.database {
                Some(name) => format!("database {name} on {}", connection.shown()),
                None => format!("scratch PostgreSQL {version} in {}", path.display()),
            },
            resource_id: None,
            instance_class: None,
        })
    }

    async fn wait(&mut self, _: &Context<'_>) -> Result<(), Stop> {
        let alive = self.scratch.as_mut().is_none_or(Scratch::alive);
        match alive {
            true => Ok(()),
            false => Err(Stop::could_not_run("the scratch PostgreSQL has ended")),
        }
    }

    async fn verify(&mut self, context: &Context<'_>) -> Result<Vec<CheckRecord>, Stop> {
        let connection = self
            .connection
            .as_ref()
            .ok_or_else(|| Stop::could_not_run("there is no connection"))?;
        probe::ping(connection).await.map_err(Stop::could_not_run)?;
        sql_checks(context, Driver::Postgres, connection, None).await
    }

    async fn cleanup(&mut self) -> Cleanup {
        let mut out = Cleanup {
            deleted: true,
            proof: Vec::new(),
            ..Cleanup::default()
        };
        if let (Some(name), Some(server)) = (&self.database, &self.server) {
            let dropped = probe::drop_database(server, name).await;
            let left = match &dropped {
                Ok(()) => probe::has_database(server, name).await,
                Err(e) => Err(e.clone()),
            };
            match left {
                Ok(false) => out.proof.push(format!("the database {name} is gone")),
                Ok(true) => {
                    out.deleted = false;
                    out.proof
                        .push(format!("the database {name} is still there"));
                }
                Err(e) => {
                    out.deleted = false;
                    out.proof.push(format!("the database {name}: {e}"));
                }
            }
        }
        if let Some(scratch) = self.scratch.take() {
            scratch.stop().await;
            out.proof
                .push("the scratch PostgreSQL is stopped".to_owned());
        }
        if let Some(folder) = self.folder.take() {
            out.of_folder(folder).await;
        }
        if out.proof.is_empty() {
            out.proof.push("nothing had been made".to_owned());
        }
        out
    }

    fn recovery_point(&self) -> Option<RecoveryPoint> {
        self.point.clone()
    }

    fn learned(&self) -> Option<SourceRecord> {
        self.source
            .resource_id
            .is_some()
            .then(|| self.source.clone())
    }
}
