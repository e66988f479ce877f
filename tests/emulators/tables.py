"""DynamoDB tables as restore drills meet them: an identity, states that take time, restores as they were asked for.

POST /_opsctl/tables with any of these; DELETE puts everything back:

    creating        seconds for which a restored table is CREATING
    ends            the state in which restored tables end, instead of "ACTIVE"
    deleting        seconds for which a table is DELETING before it is gone
    protected       a restore turns deletion protection on
    unseen          looks at a restored table before it is found
    behind          seconds by which LatestRestorableDateTime trails
    lose            items that a restore loses
    backup_age      {table name: seconds}: how old its backups say they are
    described       {table name: items}: the six hours old ItemCount
"""
import copy
import datetime
import uuid

from moto.core.utils import unix_time, utcnow
from moto.dynamodb.exceptions import JsonRESTError, ResourceInUseException, ResourceNotFoundException
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Backup, GlobalSecondaryIndex, LocalSecondaryIndex, RestoredPITTable, RestoredTable, Table
from moto.dynamodb.responses import DynamoHandler

from repairs import ASKED, replace

USUAL = {"creating": 0.0, "ends": "ACTIVE", "deleting": 0.0, "protected": False, "unseen": 0, "behind": 300, "lose": 0, "backup_age": {}, "described": {}}
settings = copy.deepcopy(USUAL)


def door(method, asked):
    if method == "DELETE":
        settings.update(copy.deepcopy(USUAL))
        return
    if unknown := set(asked) - set(USUAL):
        raise ValueError(f"no such setting: {sorted(unknown)}")
    settings.update(asked)


class Refused(JsonRESTError):
    def __init__(self, code, message):
        super().__init__(f"com.amazonaws.dynamodb.v20120810#{code}", message)


# --- an identity, a size, a state

@replace(Table, "__init__")
def table(original, self, *args, **kwargs):
    original(self, *args, **kwargs)
    self.table_id, self.begun, self.leaving, self.unseen, self.restored = str(uuid.uuid4()), utcnow(), None, 0, False


def since(at):
    return (utcnow() - at).total_seconds()


def status(self):
    if self.leaving is not None:
        return "DELETING"
    if self.restored:
        return "CREATING" if since(self.begun) < settings["creating"] else settings["ends"]
    return "ACTIVE"


def described(original, self, base_key="TableDescription"):
    said = original(self, base_key)
    found = said[base_key]
    found["TableId"], found["TableStatus"] = self.table_id, status(self)
    found["TableSizeBytes"] = sum(item.size() for item in self.all_items())
    found["ItemCount"] = settings["described"].get(self.name, found["ItemCount"])
    return said


replace(Table, "describe")(described)


def described_restored(original, self, base_key="TableDescription"):
    said = original(self, base_key)
    found = said[base_key]
    # It knows its numbers hours later.
    found["ItemCount"], found["TableSizeBytes"] = 0, 0
    found["RestoreSummary"]["RestoreInProgress"] = found["TableStatus"] == "CREATING"
    return said


replace(RestoredTable, "describe")(described_restored)
replace(RestoredPITTable, "describe")(described_restored)


# --- restored as it was asked for

def restored(original, backend, *args, **kwargs):
    asked = getattr(ASKED, "params", {})
    made = original(backend, *args, **kwargs)
    made.restored, made.unseen = True, settings["unseen"]
    made.billing_mode = asked.get("BillingModeOverride") or made.billing_mode
    if "GlobalSecondaryIndexOverride" in asked:
        made.global_indexes = [GlobalSecondaryIndex.create(i, made.table_key_attrs) for i in asked["GlobalSecondaryIndexOverride"]]
    if "LocalSecondaryIndexOverride" in asked:
        made.indexes = [LocalSecondaryIndex.create(i, made.table_key_attrs) for i in asked["LocalSecondaryIndexOverride"]]
    made.deletion_protection_enabled = settings["protected"]
    for _ in range(settings["lose"]):
        if made.items:
            made.items.pop(next(iter(made.items)))
    return made


replace(DynamoDBBackend, "restore_table_from_backup")(restored)


@replace(DynamoDBBackend, "restore_table_to_point_in_time")
def to_point_in_time(original, self, target_table_name, source_table_name):
    asked = getattr(ASKED, "params", {})
    name = source_table_name or asked["SourceTableArn"].split("/")[-1]
    said = self.describe_continuous_backups(name)["PointInTimeRecoveryDescription"]
    if said["PointInTimeRecoveryStatus"] != "ENABLED":
        raise Refused("PointInTimeRecoveryUnavailableException", f"Point in time recovery is not enabled for table '{name}'")
    at = float(asked.get("RestoreDateTime", said["LatestRestorableDateTime"]))
    if not int(said["EarliestRestorableDateTime"]) <= at <= said["LatestRestorableDateTime"]:
        raise Refused("InvalidRestoreTimeException", "The restore date time is not within the range of restorable times")
    return restored(original, self, target_table_name, name)


@replace(DynamoDBBackend, "describe_continuous_backups")
def continuous(original, self, table_name):
    said = original(self, table_name)
    recovery = said["PointInTimeRecoveryDescription"]
    if recovery["PointInTimeRecoveryStatus"] == "ENABLED":
        recovery["LatestRestorableDateTime"] = max(recovery["EarliestRestorableDateTime"], unix_time() - settings["behind"])
    return said


# --- backups say whose they are, and how large

def made_at(self):
    return self.creation_date_time - datetime.timedelta(seconds=settings["backup_age"].get(self.table.name, 0))


def summary(original, self):
    size = sum(item.size() for item in self.table.all_items())
    return original.fget(self) | {"TableId": self.table.table_id, "BackupCreationDateTime": made_at(self), "BackupSizeBytes": size}


summary_of = Backup.summary
Backup.summary = property(lambda self: summary(summary_of, self))


# --- what cannot be done while it is being made, and what takes a while

def leave(backend):
    for name, found in list(backend.tables.items()):
        if found.leaving is not None and since(found.leaving) >= settings["deleting"]:
            del backend.tables[name]


@replace(DynamoDBBackend, "describe_table")
def describe_table(original, self, name):
    leave(self)
    found = self.tables.get(name)
    if found is not None and found.unseen > 0:
        found.unseen -= 1
        raise Refused("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
    return original(self, name)


@replace(DynamoDBBackend, "list_tables")
def list_tables(original, self, *args, **kwargs):
    leave(self)
    return original(self, *args, **kwargs)


@replace(DynamoDBBackend, "delete_table")
def delete_table(original, self, name):
    leave(self)
    found = self.get_table(name)
    if found.leaving is not None:
        return found
    if status(found) == "CREATING":
        raise ResourceInUseException()
    if not settings["deleting"] or found.deletion_protection_enabled:
        return original(self, name)
    found.leaving = utcnow()
    return found


@replace(DynamoDBBackend, "tag_resource")
def tag_resource(original, self, arn, tags):
    found = next((t for t in self.tables.values() if t.table_arn == arn), None)
    if found is None:
        raise Refused("ResourceNotFoundException", f"Requested resource not found: ResourceArn: {arn} not found")
    if status(found) in ("CREATING", "DELETING"):
        raise ResourceInUseException()
    return original(self, arn, tags)


def ready(name):
    @replace(DynamoHandler, name)
    def read(original, self):
        for asked in [self.body["TableName"]] if "TableName" in self.body else list(self.body["RequestItems"]):
            if status(self.dynamodb_backend.get_table(asked)) == "CREATING":
                raise ResourceNotFoundException()
        return original(self)


for operation in ("scan", "batch_get_item", "get_item", "query"):
    ready(operation)
