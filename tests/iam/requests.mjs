// What IAM is asked for a request that was recorded at the door: actions, resources, context keys.
//
// Written from AWS's references and not from opsctl's table, so that one proves the other. Sources: Service
// Authorization Reference; S3 user guide, "Required permissions for S3 API operations"; DynamoDB developer guide,
// "Using IAM with DynamoDB backup and restore"; API references for what a request without a name means.

const BUDGETS_WRITE = /^(Create|Update|Delete)/;

/** Services as IAM calls them, from botocore's names. */
const PREFIX = { resourcegroupstaggingapi: "tag" };

/** How each service spells the tags of a request. */
function requestTags(params) {
  const list = params.Tags ?? params.tags ?? params.ResourceTags;
  if (Array.isArray(list)) return Object.fromEntries(list.map((t) => [t.Key ?? t.key, t.Value ?? t.value ?? ""]));
  return list && typeof list === "object" ? list : {};
}

function tagContext(tags) {
  const context = {};
  for (const [key, value] of Object.entries(tags)) context[`aws:RequestTag/${key}`] = value;
  if (Object.keys(tags).length) context["aws:TagKeys"] = Object.keys(tags);
  return context;
}

/** The action with which the owning service writes a tag, by ARN. */
function ownerOfTags(arn, remove) {
  const service = arn.split(":")[2];
  const [set, unset] = {
    s3: ["s3:PutBucketTagging", "s3:PutBucketTagging"],
    rds: ["rds:AddTagsToResource", "rds:RemoveTagsFromResource"],
    elasticache: ["elasticache:AddTagsToResource", "elasticache:RemoveTagsFromResource"],
    sqs: ["sqs:TagQueue", "sqs:UntagQueue"],
  }[service] ?? [`${service}:TagResource`, `${service}:UntagResource`];
  return remove ? unset : set;
}

export class World {
  /** @param tags {arn: {key: value}}, what the account holds before */
  constructor(account, tags = {}) {
    this.account = account;
    this.tags = new Map(Object.entries(tags));
    this.made = [];
  }

  arn(service, region, rest) {
    return `arn:aws:${service}:${region}:${this.account}:${rest}`;
  }

  note(arn, tags) {
    this.made.push([arn, tags]);
  }

  /** The checks of one request, each {action, resource, context}; undefined: this page does not know the operation. */
  checks({ service, operation, region, params }) {
    const prefix = PREFIX[service] ?? service;
    const found = this[prefix.replaceAll("-", "_")]?.(operation, region, params);
    const checks = found?.map((check) => {
      const context = { "aws:RequestedRegion": region, ...tagContext(requestTags(params)), ...(check.context ?? {}) };
      const owner = check.resource.split(":")[4];
      context["aws:ResourceAccount"] = owner || check.owner || this.account;
      for (const [key, value] of Object.entries(this.tags.get(check.resource) ?? {})) context[`aws:ResourceTag/${key}`] = value;
      return { action: check.action, resource: check.resource, context };
    });
    // What it makes is there from now on, and not before.
    for (const [arn, tags] of this.made.splice(0)) this.tags.set(arn, { ...(this.tags.get(arn) ?? {}), ...tags });
    return checks;
  }

  sts(operation) {
    return operation === "GetCallerIdentity" ? [] : undefined; // nobody needs a permission for it
  }

  tag(operation, region, params) {
    const action = `tag:${operation}`;
    if (operation === "GetResources") return [{ action, resource: "*" }];
    if (operation !== "TagResources" && operation !== "UntagResources") return undefined;
    const remove = operation === "UntagResources";
    const keys = remove ? params.TagKeys : Object.keys(params.Tags);
    const owners = params.ResourceARNList.map((arn) => ({
      action: ownerOfTags(arn, remove), resource: arn, context: { "aws:TagKeys": keys },
    }));
    return [{ action, resource: "*" }, ...owners];
  }

  resource_explorer_2(operation, region) {
    return [{ action: `resource-explorer-2:${operation}`, resource: this.arn("resource-explorer-2", region, "view/default/0f1e2d3c") }];
  }

  s3(operation, region, params) {
    const action = {
      ListBuckets: "ListAllMyBuckets", HeadBucket: "ListBucket", ListObjectsV2: "ListBucket", HeadObject: "GetObject",
      GetBucketLifecycleConfiguration: "GetLifecycleConfiguration", PutBucketLifecycleConfiguration: "PutLifecycleConfiguration",
      DeleteBucketLifecycle: "PutLifecycleConfiguration", DeleteBucketTagging: "PutBucketTagging",
    }[operation] ?? operation;
    if (operation === "ListBuckets") return [{ action: `s3:${action}`, resource: "*" }];
    const resource = `arn:aws:s3:::${params.Bucket}${params.Key ? `/${params.Key}` : ""}`;
    const context = operation === "ListObjectsV2" ? { "s3:prefix": params.Prefix ?? "" } : {};
    return [{ action: `s3:${action}`, resource, context, owner: params.ExpectedBucketOwner }];
  }

  cloudwatch(operation, region, params) {
    const alarm = (name) => this.arn("cloudwatch", region, `alarm:${name}`);
    const action = `cloudwatch:${operation}`;
    switch (operation) {
      case "PutMetricAlarm":
      case "PutCompositeAlarm": {
        const resource = alarm(params.AlarmName);
        const actions = [...(params.AlarmActions ?? []), ...(params.OKActions ?? []), ...(params.InsufficientDataActions ?? [])];
        const checks = [{ action, resource, context: actions.length ? { "cloudwatch:AlarmActions": actions } : {} }];
        if (params.Tags?.length) checks.push({ action: "cloudwatch:TagResource", resource });
        return checks;
      }
      case "DescribeAlarms":
        return (params.AlarmNames?.length ? params.AlarmNames : ["*"]).map((name) => ({ action, resource: alarm(name) }));
      case "DeleteAlarms":
        return params.AlarmNames.map((name) => ({ action, resource: alarm(name) }));
      case "DescribeAlarmHistory":
      case "SetAlarmState":
        return [{ action, resource: alarm(params.AlarmName ?? "*") }];
      case "ListTagsForResource":
      case "TagResource":
      case "UntagResource":
        return [{ action, resource: params.ResourceARN, context: params.TagKeys ? { "aws:TagKeys": params.TagKeys } : {} }];
      case "PutMetricData":
        return [{ action, resource: "*", context: { "cloudwatch:namespace": params.Namespace } }];
      default:
        return [{ action, resource: "*" }];
    }
  }

  rds(operation, region, params) {
    const arn = (rest) => this.arn("rds", region, rest);
    const action = `rds:${operation}`;
    const one = (type, name) => [{ action, resource: arn(`${type}:${name ?? "*"}`) }];
    const groups = (cluster) => [
      arn(`og:${params.OptionGroupName ?? "default:postgres-16"}`),
      arn(cluster ? `cluster-pg:${params.DBClusterParameterGroupName ?? "default.aurora-postgresql16"}` : `pg:${params.DBParameterGroupName ?? "default.postgres16"}`),
      arn(`subgrp:${(params.DBSubnetGroupName ?? "default").toLowerCase()}`),
    ];
    const made = (target, from, cluster, context = {}) => {
      const tags = requestTags(params);
      const all = [target, ...from, ...groups(cluster)].map((resource) => ({ action, resource, context }));
      if (Object.keys(tags).length) {
        all.push({ action: "rds:AddTagsToResource", resource: target });
        this.note(target, tags);
      }
      return all;
    };
    const exposed = { "rds:PubliclyAccessible": String(params.PubliclyAccessible ?? true) };
    switch (operation) {
      case "DescribeDBInstances": return one("db", params.DBInstanceIdentifier?.replace(/^arn:.*:/, ""));
      case "DescribeDBClusters": return one("cluster", params.DBClusterIdentifier);
      case "DescribeDBSnapshots": return one("snapshot", params.DBSnapshotIdentifier);
      case "DescribeDBClusterSnapshots": return one("cluster-snapshot", params.DBClusterSnapshotIdentifier);
      case "DescribeDBSnapshotAttributes": return one("snapshot", params.DBSnapshotIdentifier);
      case "DescribeDBClusterSnapshotAttributes": return one("cluster-snapshot", params.DBClusterSnapshotIdentifier);
      case "DescribeDBInstanceAutomatedBackups": return one("auto-backup", "*");
      case "DescribeDBSubnetGroups": return one("subgrp", params.DBSubnetGroupName);
      case "DescribeAccountAttributes": return [{ action, resource: "*" }];
      case "ListTagsForResource": return [{ action, resource: params.ResourceName }];
      case "AddTagsToResource":
        return [{ action, resource: params.ResourceName }];
      case "RemoveTagsFromResource":
        return [{ action, resource: params.ResourceName, context: { "aws:TagKeys": params.TagKeys } }];
      case "RestoreDBInstanceFromDBSnapshot":
        return made(arn(`db:${params.DBInstanceIdentifier}`), [arn(`snapshot:${params.DBSnapshotIdentifier}`)], false, exposed);
      case "RestoreDBInstanceToPointInTime":
        return made(arn(`db:${params.TargetDBInstanceIdentifier}`), [arn(`db:${params.SourceDBInstanceIdentifier}`)], false, exposed);
      case "RestoreDBClusterFromSnapshot":
        return made(arn(`cluster:${params.DBClusterIdentifier}`), [arn(`cluster-snapshot:${params.SnapshotIdentifier}`)], true);
      case "RestoreDBClusterToPointInTime":
        return made(arn(`cluster:${params.DBClusterIdentifier}`), [arn(`cluster:${params.SourceDBClusterIdentifier}`)], true);
      case "CreateDBInstance":
        return made(arn(`db:${params.DBInstanceIdentifier}`), params.DBClusterIdentifier ? [arn(`cluster:${params.DBClusterIdentifier}`)] : [], false, exposed);
      case "ModifyDBInstance":
      case "DeleteDBInstance":
        return one("db", params.DBInstanceIdentifier);
      case "ModifyDBCluster": return one("cluster", params.DBClusterIdentifier);
      case "DeleteDBCluster":
        return [...one("cluster", params.DBClusterIdentifier), { action, resource: arn(`cluster-snapshot:${params.FinalDBSnapshotIdentifier ?? params.DBClusterIdentifier}`) }];
      case "StartDBInstanceAutomatedBackupsReplication":
        return [{ action, resource: params.SourceDBInstanceArn }, { action, resource: arn("auto-backup:ab-1") }];
      default: return undefined;
    }
  }

  dynamodb(operation, region, params) {
    const table = (name) => this.arn("dynamodb", region, `table/${name}`);
    const action = `dynamodb:${operation}`;
    switch (operation) {
      case "ListTables":
      case "ListBackups": return [{ action, resource: "*" }];
      case "ListTagsOfResource":
      case "TagResource":
      case "UntagResource": return [{ action, resource: params.ResourceArn, context: params.TagKeys ? { "aws:TagKeys": params.TagKeys } : {} }];
      case "DescribeBackup": return [{ action, resource: params.BackupArn }];
      case "BatchGetItem": return Object.keys(params.RequestItems).map((name) => ({ action, resource: table(name) }));
      case "RestoreTableToPointInTime":
      case "RestoreTableFromBackup": {
        const from = params.BackupArn ?? params.SourceTableArn ?? table(params.SourceTableName);
        const target = table(params.TargetTableName);
        // "read and write permissions on the target table are necessary"
        const filled = ["BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem"];
        return [{ action, resource: from }, { action, resource: target }, ...filled.map((a) => ({ action: `dynamodb:${a}`, resource: target }))];
      }
      default: return params.TableName ? [{ action, resource: table(params.TableName) }] : undefined;
    }
  }

  sns(operation, region, params) {
    const action = `sns:${operation}`;
    if (operation === "ListTopics") return [{ action, resource: "*" }];
    if (operation === "CreateTopic") {
      const resource = this.arn("sns", region, params.Name);
      const tags = requestTags(params);
      this.note(resource, tags);
      return [{ action, resource }, ...(Object.keys(tags).length ? [{ action: "sns:TagResource", resource }] : [])];
    }
    const context = operation === "Subscribe" ? { "sns:Protocol": params.Protocol, "sns:Endpoint": params.Endpoint } : {};
    if (params.TagKeys) context["aws:TagKeys"] = params.TagKeys;
    return [{ action, resource: params.TopicArn ?? params.ResourceArn, context }];
  }

  sqs(operation, region, params) {
    const action = `sqs:${operation}`;
    if (operation === "ListQueues") return [{ action, resource: "*" }];
    const name = params.QueueName ?? params.QueueUrl.split("/").pop();
    return [{ action, resource: this.arn("sqs", region, name) }];
  }

  lambda(operation, region, params) {
    const action = `lambda:${operation}`;
    return [{ action, resource: params.Resource ?? "*" }];
  }

  logs(operation, region, params) {
    return [{ action: `logs:${operation}`, resource: params.resourceArn ?? "*" }];
  }

  elasticache(operation, region, params) {
    const action = `elasticache:${operation}`;
    const arn = (rest) => this.arn("elasticache", region, rest);
    if (operation === "DescribeCacheClusters") return [{ action, resource: arn(`cluster:${params.CacheClusterId ?? "*"}`) }];
    if (operation === "DescribeReplicationGroups") return [{ action, resource: arn(`replicationgroup:${params.ReplicationGroupId ?? "*"}`) }];
    return [{ action, resource: params.ResourceName }];
  }

  budgets(operation, region, params) {
    const name = params.BudgetName ?? params.Budget?.BudgetName ?? params.NewBudget?.BudgetName ?? "*";
    const resource = params.ResourceARN ?? `arn:aws:budgets::${params.AccountId ?? this.account}:budget/${name}`;
    if (operation === "ListTagsForResource") return [{ action: "budgets:ListTagsForResource", resource }];
    const write = BUDGETS_WRITE.test(operation);
    const checks = [{ action: write ? "budgets:ModifyBudget" : "budgets:ViewBudget", resource }];
    if (params.ResourceTags?.length) checks.push({ action: "budgets:TagResource", resource });
    return checks;
  }

  ce(operation, region, params) {
    const action = `ce:${operation}`;
    const arn = (rest) => `arn:aws:ce::${this.account}:${rest}`;
    const tags = requestTags(params);
    switch (operation) {
      case "CreateAnomalyMonitor":
        return [{ action, resource: "*" }, ...(Object.keys(tags).length ? [{ action: "ce:TagResource", resource: arn("anomalymonitor/new") }] : [])];
      case "CreateAnomalySubscription":
        return [{ action, resource: "*" }, ...(Object.keys(tags).length ? [{ action: "ce:TagResource", resource: arn("anomalysubscription/new") }] : [])];
      case "DeleteAnomalyMonitor": return [{ action, resource: params.MonitorArn }];
      case "UpdateAnomalySubscription":
      case "DeleteAnomalySubscription": return [{ action, resource: params.SubscriptionArn }];
      case "GetAnomalyMonitors":
      case "GetAnomalies": return [{ action, resource: arn("anomalymonitor/all") }];
      case "GetAnomalySubscriptions": return [{ action, resource: arn("anomalysubscription/all") }];
      case "GetCostAndUsage":
      case "GetCostForecast": return [{ action, resource: `arn:aws:billing::${this.account}:billingview/primary` }];
      default: return [{ action, resource: "*" }];
    }
  }

  kms(operation, region, params) {
    const context = { "kms:ViaService": params.via, "kms:GrantIsForAWSResource": "true" };
    return [{ action: `kms:${operation}`, resource: params.KeyId, context: operation === "CreateGrant" ? context : { "kms:ViaService": params.via } }];
  }

  backup(operation, region, params) {
    const action = `backup:${operation}`;
    switch (operation) {
      case "DescribeRecoveryPoint": return [{ action, resource: params.RecoveryPointArn }];
      case "GetRestoreTestingPlan":
        return [{ action, resource: this.arn("backup", region, `restore-testing-plan:${params.RestoreTestingPlanName}-0f1e2d3c`) }];
      default: return [{ action, resource: "*" }];
    }
  }
}
