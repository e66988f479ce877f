"""RDS as restore drills meet it: copies with an identity of their own, states that take a few looks, failures on demand.

POST /_opsctl/rds with any of these; DELETE puts everything back:

    states          what a new copy passes through, one state for each look, after "creating"
    ends            the state in which new copies end, instead of "available"
    deleting        looks at a database that is being deleted before it is gone (0: it goes at once)
    inherit_tags    a restore adds the source's tags to those that were asked for
    public          a restore makes databases public whatever was asked for
    unseen          looks at a new copy before it is found
    protected       a restore turns deletion protection on whatever was asked for
    quotas          {"DBInstances": 40, ...}: what may be there
    clock           seconds by which AWS's clock differs from this machine's: Date headers and creation times
    rename          {"old": "new"}, at once, as ModifyDBInstance does after a while
    settle          the name of an instance that is available from now on
    forget          the name of an instance whose snapshots are all gone
"""
import datetime
import email.utils
import time
import uuid

import moto.rds.models as models
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.rds.exceptions import DBInstanceNotFoundError, RDSClientError
from moto.rds.models import DBCluster, DBInstance, DBSnapshot, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from repairs import ASKED, replace

USUAL = {"states": [], "ends": "available", "deleting": 0, "inherit_tags": False, "public": False, "unseen": 0, "protected": False,
         "quotas": {"DBInstances": 200, "DBClusters": 40, "AllocatedStorage": 100000}, "clock": 0}
settings = dict(USUAL)
# Not to be deleted or changed yet. Source: RDS user guide, "DB instance status".
BUSY = {"creating", "backing-up", "modifying", "resetting-master-credentials", "deleting"}


def door(method, asked, account):
    if method == "DELETE":
        settings.clear()
        settings.update(USUAL)
        return
    for old, new in asked.pop("rename", {}).items():
        for backend in rds_backends[account].values():
            if old in backend.databases:
                database = backend.databases.pop(old)
                database.db_instance_identifier = new
                backend.databases[new] = database
    for backend in rds_backends[account].values() if {"settle", "forget"} & set(asked) else ():
        if asked.get("settle") and asked["settle"] in backend.databases:
            database = backend.databases[asked["settle"]]
            database.status, database.phases, database.instance_create_time = "available", [], database.created
        for name in [n for n, s in backend.database_snapshots.items() if s.db_instance_identifier == asked.get("forget")]:
            del backend.database_snapshots[name]
    asked = {key: value for key, value in asked.items() if key not in ("settle", "forget")}
    if unknown := set(asked) - set(USUAL):
        raise ValueError(f"no such setting: {sorted(unknown)}")
    settings.update(asked)


def date():
    return email.utils.formatdate(time.time() + settings["clock"], usegmt=True)


def now():
    return utcnow() + datetime.timedelta(seconds=settings["clock"])


@replace(models.RDSBaseModel, "__init__")
def base(original, self, *args, **kwargs):
    original(self, *args, **kwargs)
    self.created = now()


# --- an identity of its own; groups that AWS keeps itself are there

@replace(DBInstance, "__init__")
def instance(original, self, *args, **kwargs):
    group = kwargs.get("option_group_name") or ""
    if group.startswith("default:"):
        kwargs["option_group_name"] = None
    original(self, *args, **kwargs)
    self.dbi_resource_id = "db-" + uuid.uuid4().hex[:26].upper()
    if group.startswith("default:") and self.db_cluster_identifier is None:
        self.option_group_name = group


# --- restored as it was asked for, in its own time

def begin(copy):
    copy.phases = ["creating", *settings["states"], settings["ends"]] if settings["states"] or settings["ends"] != "available" else []
    copy.unseen = settings["unseen"]
    if copy.phases:
        copy.status = "creating"
        if isinstance(copy, DBInstance):
            copy.instance_create_time = None  # as long as it has never been there


def restored(original, backend, *args, **kwargs):
    asked = getattr(ASKED, "params", {})
    source = source_of(backend, asked)
    copy = original(backend, *args, **kwargs)
    copy.deletion_protection = settings["protected"] or asked.get("DeletionProtection", False)
    copy.tags = list(asked.get("Tags") or source.tags)
    if settings["inherit_tags"]:
        copy.tags += [tag for tag in source.tags if tag["Key"] not in {t["Key"] for t in copy.tags}]
    if isinstance(copy, DBInstance):
        if "BackupRetentionPeriod" in asked:
            copy.backup_retention_period = asked["BackupRetentionPeriod"]
        copy.publicly_accessible = settings["public"] or asked.get("PubliclyAccessible", True)
        copy.multi_az = asked.get("MultiAZ", False)
        copy.copy_tags_to_snapshot = asked.get("CopyTagsToSnapshot", source.copy_tags_to_snapshot)
        copy.is_replica, copy.replicas, copy.source_db_instance_identifier = False, [], None
        if not int(copy.backup_retention_period or 0):
            drop_automated(backend.database_snapshots, "db_instance_identifier", copy.db_instance_identifier)
    begin(copy)
    return copy


def source_of(backend, asked):
    if "DBSnapshotIdentifier" in asked:
        return backend.describe_db_snapshots(None, asked["DBSnapshotIdentifier"])[0].database
    if "SnapshotIdentifier" in asked:
        return backend.describe_db_cluster_snapshots(None, asked["SnapshotIdentifier"])[0].cluster
    if "SourceDBInstanceIdentifier" in asked:
        return backend.describe_db_instances(asked["SourceDBInstanceIdentifier"])[0]
    return backend.describe_db_clusters(asked["SourceDBClusterIdentifier"])[0]


for operation in ("restore_db_instance_from_db_snapshot", "restore_db_instance_to_point_in_time", "restore_db_cluster_from_snapshot",
                  "restore_db_cluster_to_point_in_time"):
    replace(RDSBackend, operation)(restored)


@replace(RDSBackend, "create_db_cluster")
def create_db_cluster(original, self, kwargs):
    if kwargs["db_cluster_identifier"] in self.clusters:
        raise RDSClientError("DBClusterAlreadyExistsFault", "DB Cluster already exists")
    return original(self, kwargs)


@replace(RDSResponse, "create_db_instance")
def create_db_instance(original, self):
    said = original(self)
    made = said._result["DBInstance"]
    if made.db_cluster_identifier is not None:
        begin(made)
    return said


# --- backups: none without retention; those of a cluster go with it; the time of the data; a latest time that stands still

def drop_automated(snapshots, member, name):
    for key in [k for k, s in snapshots.items() if s.snapshot_type == "automated" and getattr(s, member) == name]:
        del snapshots[key]


@replace(DBInstance, "save_automated_backup")
def save_automated_backup(original, self):
    if int(self.backup_retention_period or 0) and self.db_cluster_identifier is None:
        original(self)


@replace(RDSBackend, "delete_db_cluster")
def delete_db_cluster(original, self, cluster_identifier, snapshot_name=None):
    gone = original(self, cluster_identifier, snapshot_name)
    drop_automated(self.cluster_snapshots, "db_cluster_identifier", cluster_identifier)
    return gone


DBSnapshot.snapshot_database_time = property(lambda self: self.original_snapshot_create_time)


def latest_restorable_time(self):
    """The last five minutes that were shipped whole."""
    if not int(self.backup_retention_period or 0):
        return None
    at = now()
    shipped = at.replace(minute=at.minute - at.minute % 5, second=0, microsecond=0)
    return max(shipped, self.created)


DBInstance.latest_restorable_time = property(latest_restorable_time)
DBCluster.latest_restorable_time = property(latest_restorable_time)


# --- looks: a state lasts for so many of them

def look(database):
    phases = getattr(database, "phases", None)
    if phases:
        database.status = phases.pop(0)
        if database.status != "creating" and isinstance(database, DBInstance):
            database.instance_create_time = database.instance_create_time or database.created
        if not phases:
            database.pending_modified_values = {}


def leave(backend):
    """Takes away what has been deleted for long enough."""
    for databases, delete in ((backend.databases, backend.delete_db_instance), (backend.clusters, backend.delete_db_cluster)):
        for name, database in list(databases.items()):
            if getattr(database, "leaving", None) is None:
                continue
            database.leaving -= 1
            if database.leaving < 0:
                database.deletion_protection = False
                delete(name)


def describe(member, not_found):
    def describe(original, self):
        leave(self.backend)
        said = original(self)
        found = said._result[member]
        hidden = [d for d in found if getattr(d, "unseen", 0) > 0]
        for database in hidden:
            database.unseen -= 1
        said._result[member] = found = [d for d in found if d not in hidden]
        if hidden and not found and any(name in self.params for name in ("DBInstanceIdentifier", "DBClusterIdentifier")):
            raise not_found(hidden[0].resource_id)
        for database in found:
            look(database)
        return said
    return describe


replace(RDSResponse, "describe_db_instances")(describe("DBInstances", DBInstanceNotFoundError))
replace(RDSResponse, "describe_db_clusters")(describe("DBClusters", models.DBClusterNotFoundError))
# moto turns "creating" into "available" by itself at the first look.
DBCluster.status = property(lambda self: self._status, lambda self, value: setattr(self, "_status", value))


@replace(DBCluster, "__init__")
def cluster(original, self, *args, **kwargs):
    original(self, *args, **kwargs)
    self._status = "available"


ENDPOINT = DBInstance.endpoint.fget
DBInstance.endpoint = property(lambda self: None if self.status == "creating" else ENDPOINT(self))


# --- what cannot be done while it is busy, and what takes a while

def delete(member, kind, code):
    def delete(original, self):
        databases = self.backend.databases if member == "DBInstance" else self.backend.clusters
        database = databases.get(self.params[f"{member}Identifier"])
        if database is None:
            return original(self)
        if database.status in BUSY:
            raise RDSClientError(code, f"{kind} {database.resource_id} is {database.status}.")
        if not settings["deleting"] or database.deletion_protection or (member == "DBCluster" and database.members):
            return original(self)
        database.status, database.phases, database.leaving = "deleting", [], settings["deleting"]
        return ActionResult({member: database})
    return delete


replace(RDSResponse, "delete_db_instance")(delete("DBInstance", "Instance", "InvalidDBInstanceState"))
replace(RDSResponse, "delete_db_cluster")(delete("DBCluster", "Cluster", "InvalidDBClusterStateFault"))


def modify(find):
    def modify(original, self):
        database = find(self)
        if database is not None and database.status in BUSY and "DeletionProtection" not in self.params:
            raise RDSClientError("InvalidDBInstanceState", f"Database instance is not in available state: {database.status}.")
        said = original(self)
        if database is not None and "MasterUserPassword" in self.params:
            # It is available for a moment before the reset begins.
            database.phases = ["available", "resetting-master-credentials", "available"]
            database.pending_modified_values = {"MasterUserPassword": "****"}
        return said
    return modify


replace(RDSResponse, "modify_db_instance")(modify(lambda self: self.backend.databases.get(self.params["DBInstanceIdentifier"])))
replace(RDSResponse, "modify_db_cluster")(modify(lambda self: self.backend.clusters.get(self.params["DBClusterIdentifier"])))


# --- quotas

def describe_account_attributes(self):
    backend = self.backend
    used = {"DBInstances": len(backend.databases), "DBClusters": len(backend.clusters),
            "AllocatedStorage": sum(d.allocated_storage or 0 for d in backend.databases.values() if d.db_cluster_identifier is None)}
    return ActionResult({"AccountQuotas": [{"AccountQuotaName": name, "Used": used[name], "Max": most} for name, most in settings["quotas"].items()]})


RDSResponse.describe_account_attributes = describe_account_attributes
