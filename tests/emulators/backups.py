"""RDS backups: what a modification does at once and what waits for the maintenance window, and copies of automated backups in other
regions. moto does everything at once, and has no copies. S3: versioning under the name that S3 gives its answer."""
import uuid

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBInstanceNotFoundError
from moto.rds.models import RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from repairs import ASKED, replace
from wire import Answer, Refusal

# Put off unless ApplyImmediately is given (RDS user guide, "Settings for DB instances").
WAITS = {"DBInstanceClass": "db_instance_class", "AllocatedStorage": "allocated_storage", "MultiAZ": "multi_az", "EngineVersion": "engine_version"}


def drop(kwargs, name):
    """moto hands parameters on under their own names or under Python's."""
    for key in [k for k in kwargs if k.lower().replace("_", "") == name.lower()]:
        del kwargs[key]


@replace(RDSBackend, "modify_db_instance")
def modify_db_instance(original, self, identifier, kwargs):
    asked = dict(getattr(ASKED, "params", {}))
    database = self.describe_db_instances(identifier)[0]
    waiting = dict(getattr(database, "pending_modified_values", None) or {})
    days = asked.get("BackupRetentionPeriod")
    if days is not None and not 0 <= days <= 35:
        raise Refusal("InvalidParameterValue", f"Invalid backup retention period: {days}", 400)
    if asked.get("ApplyImmediately"):
        # Everything that waits is carried out too.
        fields = {**WAITS, "BackupRetentionPeriod": "backup_retention_period"}
        for name in fields.keys() & waiting.keys():
            setattr(database, fields[name], waiting.pop(name))
    else:
        kwargs = dict(kwargs)
        for name in WAITS.keys() & asked.keys():
            waiting[name] = asked[name]
            drop(kwargs, name)
        if days is not None and (days == 0) != (int(database.backup_retention_period or 0) == 0):
            waiting["BackupRetentionPeriod"] = days
            drop(kwargs, "BackupRetentionPeriod")
    database = original(self, identifier, kwargs)
    database.pending_modified_values = waiting
    return database


class Copy:
    """Automated backups of an instance of another region."""

    def __init__(self, source, region, account, days, key):
        self.db_instance_automated_backups_arn = f"arn:aws:rds:{region}:{account}:auto-backup:ab-{uuid.uuid4().hex}"
        self.db_instance_arn, self.dbi_resource_id = source.db_instance_arn, source.dbi_resource_id
        self.db_instance_identifier, self.region = source.db_instance_identifier, source.region
        self.status, self.backup_retention_period, self.kms_key_id = "replicating", days, key
        self.engine, self.encrypted = source.engine, bool(key)


def start_db_instance_automated_backups_replication(self):
    asked = getattr(ASKED, "params", {})
    _, _, _, region, account, _, name = asked["SourceDBInstanceArn"].split(":")
    source = rds_backends[account][region].databases.get(name)
    if source is None:
        raise DBInstanceNotFoundError(name)
    if region == self.region:
        raise Refusal("InvalidParameterValue", "The source is in this region", 400)
    if not int(source.backup_retention_period or 0):
        raise Refusal("InvalidDBInstanceState", f"Automated backups of {name} are off", 400)
    if source.storage_encrypted and not asked.get("KmsKeyId"):
        raise Refusal("InvalidParameterCombination", "An encrypted source needs a KmsKeyId", 400)
    copies = self.backend.__dict__.setdefault("copies", [])
    if any(copy.dbi_resource_id == source.dbi_resource_id for copy in copies):
        raise Refusal("InvalidDBInstanceAutomatedBackupState", f"{name} is replicated already", 400)
    copy = Copy(source, self.region, account, asked.get("BackupRetentionPeriod", 7), asked.get("KmsKeyId"))
    copies.append(copy)
    known = getattr(source, "db_instance_automated_backups_replications", None) or []
    source.db_instance_automated_backups_replications = [*known, {"DBInstanceAutomatedBackupsArn": copy.db_instance_automated_backups_arn}]
    return ActionResult({"DBInstanceAutomatedBackup": copy})


RDSResponse.start_db_instance_automated_backups_replication = start_db_instance_automated_backups_replication


@replace(RDSBackend, "describe_db_instance_automated_backups")
def describe_db_instance_automated_backups(original, self, *args, **kwargs):
    asked = getattr(ASKED, "params", {})
    wanted = asked.get("DbiResourceId")
    copies = [copy for copy in self.__dict__.get("copies", []) if wanted in (None, copy.dbi_resource_id)]
    return copies if wanted else [*original(self, *args, **kwargs), *copies]


def get_versioning(bucket):
    status = f"<Status>{bucket.versioning_status}</Status>" if bucket.versioning_status else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{status}</VersioningConfiguration>'
    return Answer(200, body.encode(), [("Content-Type", "application/xml")])
