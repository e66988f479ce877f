"""AWS Budgets, Cost Anomaly Detection and cost allocation tags, as AWS answers; the billing metric; subscriptions that wait.

moto has some of the budgets and none of the rest, so all of it is kept here. The door POST /_opsctl/money takes

    {"budgets": {name: {"HealthStatus": {...}, "CalculatedSpend": {...}}},   what only AWS sets, merged into a budget
     "cost_tags": {key: "Active" | "Inactive" | null},                        keys that AWS has seen; null forgets one
     "member": true,                                                          the account is a member: no cost allocation tags
     "billing_metric": true,                                                  billing alerts are switched on
     "confirm": ["ops@example.com"]}                                          addresses whose owner clicked
"""
import copy
import datetime
import json
import re
import threading
import uuid

from moto.cloudwatch.models import CloudWatchBackend, MetricDatum
from moto.sns.models import sns_backends

from wire import Refusal, result

NO_END = 3706473600  # 2087-06-15
NOTIFICATIONS, EMAILS, TOPICS = 5, 10, 1
PENDING = "PendingConfirmation"

lock = threading.RLock()
budgets, monitors, subscriptions, cost_tags = {}, {}, {}, {}  # by account, then by name, ARN or key
switches = {"member": False, "billing_metric": False}
waiting = set()  # ARNs of subscriptions that nobody confirmed


def reset():
    for store in (budgets, monitors, subscriptions, cost_tags, waiting):
        store.clear()
    switches.update(member=False, billing_metric=False)


def door(asked, account):
    with lock:
        for name, parts in asked.get("budgets", {}).items():
            budgets[account][name]["budget"].update(parts)
        for key, status in asked.get("cost_tags", {}).items():
            if status is None:
                cost_tags.setdefault(account, {}).pop(key, None)
            else:
                cost_tags.setdefault(account, {})[key] = {"TagKey": key, "Type": "UserDefined", "Status": status, "LastUsedDate": "2026-11-01T00:00:00Z"}
        switches.update({key: bool(asked[key]) for key in switches if key in asked})
        for endpoint in asked.get("confirm", []):
            for backend in list(sns_backends[account].values()):
                waiting.difference_update(arn for arn, one in backend.subscriptions.items() if one.endpoint == endpoint)


def answer(call, account):
    """None leaves the call to moto."""
    here = BUDGETS.get(call.operation) if call.service == "budgets" else ANOMALIES.get(call.operation) if call.service == "ce" else None
    if not here:
        return None
    if call.violations:
        raise Refusal("InvalidParameterException" if call.service == "budgets" else "ValidationException", "; ".join(call.violations))
    if call.params.get("AccountId", account) != account:
        raise Refusal("AccessDeniedException", f"Account {call.params['AccountId']} is not the caller's.")
    with lock:
        return result(call, here(call.params, account))


def page(items, params, default, token="NextToken", size="MaxResults"):
    start, size = int(params.get(token) or 0), params.get(size) or default
    return items[start:start + size], {token: str(start + size)} if len(items) > start + size else {}


# --- budgets

def not_found(what):
    return Refusal("NotFoundException", f"Unable to find {what} - it doesn't exist.")


def kept(account, name):
    if name not in budgets.get(account, {}):
        raise not_found(f"budget: {name}")
    return budgets[account][name]


def number(text):
    """As AWS writes it: 1200 is 1200.0."""
    return str(float(text)) if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text) else text


def normalised(asked):
    budget = copy.deepcopy(asked)
    old, new = {"CostFilters", "CostTypes"} & set(budget), {"FilterExpression", "Metrics"} & set(budget)
    if old and new:
        raise Refusal("InvalidParameterException", "Only one of CostFilters/CostTypes and FilterExpression/Metrics can be given.")
    if "BudgetLimit" in budget and "PlannedBudgetLimits" in budget:
        raise Refusal("InvalidParameterException", "Only one of BudgetLimit and PlannedBudgetLimits can be given.")
    if budget["BudgetType"] in ("COST", "USAGE") and not {"BudgetLimit", "PlannedBudgetLimits", "AutoAdjustData"} & set(budget):
        raise Refusal("InvalidParameterException", "Unable to create/update budget - please provide one of the followings: Budget Limit/ "
                                                   "Planned Budget Limit/ Auto Adjust Data")
    for spend in [budget.get("BudgetLimit"), *budget.get("PlannedBudgetLimits", {}).values()]:
        if spend:
            spend["Amount"] = number(spend["Amount"])
    if budget["BudgetType"] == "COST" and not new:
        include = "Tax Subscription Refund Credit Upfront Recurring OtherSubscription Support Discount".split()
        given = budget.get("CostTypes") or {}
        budget["CostTypes"] = {f"Include{kind}": True for kind in include} | {"UseBlended": False, "UseAmortized": False} | given
    if not new:
        budget.setdefault("CostFilters", {})
    now = datetime.datetime.now(datetime.UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    budget["TimePeriod"] = {"Start": month.timestamp(), "End": NO_END} | (budget.get("TimePeriod") or {})
    spent = {"ActualSpend": {"Amount": "0.0", "Unit": "USD"}, "ForecastedSpend": {"Amount": "0.0", "Unit": "USD"}}
    return budget | {"CalculatedSpend": spent, "LastUpdatedTime": now.timestamp(), "HealthStatus": {"Status": "HEALTHY", "LastUpdatedTime": now.timestamp()}}


def shown(budget, params):
    hidden = set() if params.get("ShowFilterExpression") else {"FilterExpression", "Metrics"}
    return {key: value for key, value in budget.items() if key not in hidden}


def identity(notification):
    return (notification["NotificationType"], notification["ComparisonOperator"], float(notification["Threshold"]), notification.get("ThresholdType", "PERCENTAGE"))


def alert(entry, notification):
    for one in entry["alerts"]:
        if identity(one["notification"]) == identity(notification):
            return one
    raise not_found("the notification")


def new_alert(entry, notification, subscribers):
    if any(identity(one["notification"]) == identity(notification) for one in entry["alerts"]):
        raise Refusal("DuplicateRecordException", "Error creating notification - the notification already exists.")
    if len(entry["alerts"]) >= NOTIFICATIONS:
        raise Refusal("CreationLimitExceededException", f"You've exceeded the notification limit of {NOTIFICATIONS}.")
    kept_one = {"notification": {"ThresholdType": "PERCENTAGE"} | notification | {"NotificationState": "OK", "Threshold": float(notification["Threshold"])}, "subscribers": []}
    for subscriber in subscribers:
        new_subscriber(kept_one, subscriber)
    entry["alerts"].append(kept_one)


def new_subscriber(one, subscriber):
    if subscriber in one["subscribers"]:
        raise Refusal("DuplicateRecordException", "Error creating subscriber - the subscriber already exists.")
    kind = subscriber["SubscriptionType"]
    if sum(s["SubscriptionType"] == kind for s in one["subscribers"]) >= (TOPICS if kind == "SNS" else EMAILS):
        raise Refusal("CreationLimitExceededException", f"You've exceeded the {kind} subscriber limit.")
    one["subscribers"].append(dict(subscriber))


def create_budget(params, account):
    asked = params["Budget"]
    name = asked["BudgetName"]
    if re.search(r"[:\\]|/action/", name):
        raise Refusal("InvalidParameterException", f"The budget name {name} holds what it may not.")
    if name in budgets.get(account, {}):
        raise Refusal("DuplicateRecordException", f"Error creating budget: {name} - the budget already exists.")
    entry = {"budget": normalised(asked), "alerts": [], "tags": {tag["Key"]: tag["Value"] for tag in params.get("ResourceTags", [])}}
    for one in params.get("NotificationsWithSubscribers", []):
        new_alert(entry, one["Notification"], one["Subscribers"])
    budgets.setdefault(account, {})[name] = entry
    return {}


def update_budget(params, account):
    entry = kept(account, params["NewBudget"]["BudgetName"])
    entry["budget"] = normalised(params["NewBudget"])
    return {}


def delete_budget(params, account):
    kept(account, params["BudgetName"])
    del budgets[account][params["BudgetName"]]
    return {}


def describe_budget(params, account):
    return {"Budget": shown(kept(account, params["BudgetName"])["budget"], params)}


def describe_budgets(params, account):
    found, more = page([shown(entry["budget"], params) for _, entry in sorted(budgets.get(account, {}).items())], params, 100)
    return {"Budgets": found} | more


def describe_budget_notifications_for_account(params, account):
    found, more = page([{"BudgetName": name, "Notifications": [one["notification"] for one in entry["alerts"]]}
                        for name, entry in sorted(budgets.get(account, {}).items()) if entry["alerts"]], params, 50)
    return {"BudgetNotificationsForAccount": found} | more


def describe_notifications_for_budget(params, account):
    found, more = page([one["notification"] for one in kept(account, params["BudgetName"])["alerts"]], params, 100)
    return {"Notifications": found} | more


def create_notification(params, account):
    new_alert(kept(account, params["BudgetName"]), params["Notification"], params["Subscribers"])
    return {}


def update_notification(params, account):
    entry = kept(account, params["BudgetName"])
    one = alert(entry, params["OldNotification"])
    one["notification"] |= params["NewNotification"]
    return {}


def delete_notification(params, account):
    entry = kept(account, params["BudgetName"])
    entry["alerts"].remove(alert(entry, params["Notification"]))
    return {}


def describe_subscribers_for_notification(params, account):
    found, more = page(alert(kept(account, params["BudgetName"]), params["Notification"])["subscribers"], params, 100)
    return {"Subscribers": found} | more


def create_subscriber(params, account):
    new_subscriber(alert(kept(account, params["BudgetName"]), params["Notification"]), params["Subscriber"])
    return {}


def update_subscriber(params, account):
    one = alert(kept(account, params["BudgetName"]), params["Notification"])
    if params["OldSubscriber"] not in one["subscribers"]:
        raise not_found("the subscriber")
    one["subscribers"][one["subscribers"].index(params["OldSubscriber"])] = dict(params["NewSubscriber"])
    return {}


def delete_subscriber(params, account):
    entry = kept(account, params["BudgetName"])
    one = alert(entry, params["Notification"])
    if params["Subscriber"] not in one["subscribers"]:
        raise not_found("the subscriber")
    one["subscribers"].remove(params["Subscriber"])
    if not one["subscribers"]:
        entry["alerts"].remove(one)
    return {}


def of_arn(params, account):
    return kept(account, params["ResourceARN"].rpartition(":budget/")[2])


def list_tags_for_resource(params, account):
    return {"ResourceTags": [{"Key": k, "Value": v} for k, v in of_arn(params, account)["tags"].items()]}


def tag_resource(params, account):
    of_arn(params, account)["tags"] |= {tag["Key"]: tag["Value"] for tag in params["ResourceTags"]}
    return {}


def untag_resource(params, account):
    for key in params["ResourceTagKeys"]:
        of_arn(params, account)["tags"].pop(key, None)
    return {}


BUDGETS = {"".join(part.title() for part in one.__name__.split("_")): one for one in (
    create_budget, update_budget, delete_budget, describe_budget, describe_budgets, describe_budget_notifications_for_account,
    describe_notifications_for_budget, create_notification, update_notification, delete_notification, describe_subscribers_for_notification,
    create_subscriber, update_subscriber, delete_subscriber, list_tags_for_resource, tag_resource, untag_resource)}


# --- anomaly detection and cost allocation tags, in pages of 20: the model names no size

def listed(store, account, params, asked, member):
    found = [one for arn, one in sorted(store.get(account, {}).items()) if not params.get(asked) or arn in params[asked]]
    found, more = page(found, {"MaxResults": min(params.get("MaxResults") or 20, 20), "NextToken": params.get("NextPageToken")}, 20)
    return {member: found} | ({"NextPageToken": more["NextToken"]} if more else {})


def create_anomaly_monitor(params, account):
    asked = params["AnomalyMonitor"]
    held = monitors.setdefault(account, {})
    if asked["MonitorType"] == "DIMENSIONAL" and any(m["MonitorType"] == "DIMENSIONAL" and m["MonitorDimension"] == asked.get("MonitorDimension") for m in held.values()):
        raise Refusal("LimitExceededException", "Limit exceeded on dimensional spend monitor creation")
    if (asked["MonitorType"] == "CUSTOM") == ("MonitorDimension" in asked):
        raise Refusal("ValidationException", "A managed monitor has a dimension, a customer's one a specification.")
    arn = f"arn:aws:ce::{account}:anomalymonitor/{uuid.uuid4()}"
    held[arn] = copy.deepcopy(asked) | {"MonitorArn": arn, "CreationDate": "2026-11-22", "DimensionalValueCount": 1}
    return {"MonitorArn": arn}


def get_anomaly_monitors(params, account):
    return listed(monitors, account, params, "MonitorArnList", "AnomalyMonitors")


def delete_anomaly_monitor(params, account):
    if monitors.setdefault(account, {}).pop(params["MonitorArn"], None) is None:
        raise Refusal("UnknownMonitorException", f"There is no monitor {params['MonitorArn']}.")
    for one in subscriptions.get(account, {}).values():
        one["MonitorArnList"] = [arn for arn in one["MonitorArnList"] if arn != params["MonitorArn"]]
    return {}


def checked(one, account):
    for arn in one["MonitorArnList"]:
        if arn not in monitors.get(account, {}):
            raise Refusal("UnknownMonitorException", f"There is no monitor {arn}.")
    if ("Threshold" in one) == ("ThresholdExpression" in one):
        raise Refusal("ValidationException", "One of Threshold or ThresholdExpression is required.")
    wanted = "SNS" if one["Frequency"] == "IMMEDIATE" else "EMAIL"
    if any(s["Type"] != wanted for s in one["Subscribers"]):
        raise Refusal("ValidationException", f"A subscription of frequency {one['Frequency']} only takes {wanted} subscribers.")
    return one | {"Subscribers": [dict(s) | {"Status": "CONFIRMED"} for s in one["Subscribers"]]}


def create_anomaly_subscription(params, account):
    asked = checked(copy.deepcopy(params["AnomalySubscription"]), account)
    arn = f"arn:aws:ce::{account}:anomalysubscription/{uuid.uuid4()}"
    subscriptions.setdefault(account, {})[arn] = asked | {"SubscriptionArn": arn, "AccountId": account}
    return {"SubscriptionArn": arn}


def get_anomaly_subscriptions(params, account):
    return listed(subscriptions, account, params, "SubscriptionArnList", "AnomalySubscriptions")


def update_anomaly_subscription(params, account):
    held, arn = subscriptions.setdefault(account, {}), params["SubscriptionArn"]
    if arn not in held:
        raise Refusal("UnknownSubscriptionException", f"There is no subscription {arn}.")
    held[arn] = checked(held[arn] | {k: copy.deepcopy(v) for k, v in params.items() if k != "SubscriptionArn"}, account)
    return {"SubscriptionArn": arn}


def delete_anomaly_subscription(params, account):
    if subscriptions.setdefault(account, {}).pop(params["SubscriptionArn"], None) is None:
        raise Refusal("UnknownSubscriptionException", f"There is no subscription {params['SubscriptionArn']}.")
    return {}


def payer_only(verb):
    if switches["member"]:
        raise Refusal("AccessDeniedException", f"Failed to {verb} Cost Allocation Tag{'s' * (verb == 'list')}: Linked account doesn't have access to cost allocation tags.")


def list_cost_allocation_tags(params, account):
    payer_only("list")
    found = [tag for key, tag in sorted(cost_tags.get(account, {}).items()) if key in params.get("TagKeys", [key])
             and params.get("Status", tag["Status"]) == tag["Status"] and params.get("Type", tag["Type"]) == tag["Type"]]
    found, more = page(found, params, 100)
    return {"CostAllocationTags": found} | more


def update_cost_allocation_tags_status(params, account):
    payer_only("update")
    held, errors = cost_tags.setdefault(account, {}), []
    for entry in params["CostAllocationTagsStatus"]:
        if entry["TagKey"] in held:
            held[entry["TagKey"]]["Status"] = entry["Status"]
        else:
            errors.append({"TagKey": entry["TagKey"], "Code": "TagKeyNotFound", "Message": "Tag keys not found"})
    return {"Errors": errors}


ANOMALIES = {"".join(part.title() for part in one.__name__.split("_")): one for one in (
    create_anomaly_monitor, get_anomaly_monitors, delete_anomaly_monitor, create_anomaly_subscription, get_anomaly_subscriptions,
    update_anomaly_subscription, delete_anomaly_subscription, list_cost_allocation_tags, update_cost_allocation_tags_status)}


# --- the billing metric, in us-east-1 only, where billing alerts are on

def with_billing(original, self):
    found = original(self)
    if self.region_name == "us-east-1" and switches["billing_metric"]:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        for extra in ([], [{"Name": "ServiceName", "Value": "AmazonEC2"}]):
            found = found + [MetricDatum(namespace="AWS/Billing", name="EstimatedCharges", value=12.5, unit="None", timestamp=now,
                                         dimensions=[{"Name": "Currency", "Value": "USD"}, *extra])]
    return found


original = CloudWatchBackend.get_all_metrics
CloudWatchBackend.get_all_metrics = lambda self: with_billing(original, self)


# --- topics: who subscribes by e-mail or from a web server has to say yes

def subscriptions_of(call, account):
    return sns_backends[account][call.region].subscriptions


def before_topics(call, account):
    there = sns_backends[account][call.region].topics.get(f"arn:aws:sns:{call.region}:{account}:{call.params.get('Name')}") if call.name == "sns:CreateTopic" else None
    if there:
        asked, tags = call.params.get("Attributes") or {}, {tag["Key"]: tag["Value"] for tag in call.params.get("Tags") or []}
        if any(json.loads(value) != json.loads(there.policy) for key, value in asked.items() if key == "Policy"):
            raise Refusal("InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes")
        if tags and tags != there._tags:
            raise Refusal("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags")
    return set(subscriptions_of(call, account)) if call.name == "sns:Subscribe" else None


def with_waiting(call, account, answer, before):
    """moto's answer, with a word instead of the ARN of what nobody confirmed."""
    if call.service != "sns" or answer.status != 200:
        return answer
    held = subscriptions_of(call, account)
    if call.operation == "Subscribe":
        waiting.update(arn for arn in held if arn not in before and held[arn].protocol in ("email", "email-json", "http", "https"))
    if call.operation in ("Subscribe", "ListSubscriptions", "ListSubscriptionsByTopic"):
        word = "pending confirmation" if call.operation == "Subscribe" else PENDING
        for arn in waiting & set(held):
            answer.body = answer.body.replace(f">{arn}<".encode(), f">{word}<".encode())
    return answer
