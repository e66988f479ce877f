// The pages of opsctl in a real browser: run.mjs PAGES.json
//
// PAGES.json: [{"file": "x.html", "report": "x.json" (optional), "hostile": true, "rows": 20000 (optional)}]
// Needs CHROMIUM (its program) and MODULES (node_modules with playwright-core and axe-core). Prints one line for each
// page, then what failed; exits with 1 if anything did.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.env.MODULES;
const { chromium } = await import(pathToFileURL(join(modules, "playwright-core/index.mjs")));
const axe = readFileSync(join(modules, "axe-core/axe.min.js"), "utf8");
const list = resolve(process.argv[2]);
const folder = dirname(list);
const failures = [];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"], timeout: 180000 });
for (const spec of JSON.parse(readFileSync(list, "utf8"))) {
  const say = (text) => failures.push(`${spec.file}: ${text}`);
  const check = (good, text) => good || say(text);
  try {
    console.log(`${spec.file}: ${await one(spec, check)}`);
  } catch (error) {
    say(error.stack);
  }
}
await browser.close();
if (failures.length) {
  console.error(failures.join("\n"));
  process.exit(1);
}

/// A page that complains of whatever should not happen.
async function open(spec, options, check) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(180000);
  page.on("console", (message) => check(!["error", "warning"].includes(message.type()), `console: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `error: ${error.message}`));
  page.on("dialog", (dialog) => { check(false, `a dialog: ${dialog.message()}`); dialog.dismiss(); });
  const url = pathToFileURL(join(folder, spec.file)).href;
  page.on("request", (request) => check(request.url() === url || request.url().startsWith("data:"), `asks for ${request.url()}`));
  const begun = performance.now();
  await page.goto(url, { waitUntil: "load" });
  return { context, page, loaded: performance.now() - begun };
}

async function one(spec, check) {
  const told = [];
  const { context, page, loaded } = await open(spec, { colorScheme: "light" }, check);
  const broad = await page.evaluate(() => document.documentElement.scrollWidth);
  check(broad <= 1280, `${broad} px wide on a screen of 1280`);
  const explorers = await page.locator("[data-explorer]").count();
  await rules(page, "light", check);
  await structure(page, check);
  await keyboard(page, check);
  if (explorers) told.push(await explore(page, spec, loaded, check));
  if (spec.report) told.push(await numbers(page, spec, check));
  if (spec.hostile) await harmless(page, check);
  told.push(await paper(page, spec, check));
  await context.close();

  const dark = await open(spec, { colorScheme: "dark" }, check);
  const paper_ = await dark.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check(paper_.match(/\d+/g).every((part) => Number(part) < 60), `dark, and the background is ${paper_}`);
  await rules(dark.page, "dark", check);
  await shot(dark.page, spec, "dark");
  await dark.context.close();

  const narrow = await open(spec, { viewport: { width: 320, height: 640 } }, check);
  const width = await narrow.page.evaluate(() => document.documentElement.scrollWidth);
  check(width <= 320, `${width} px wide on a screen of 320`);
  await rules(narrow.page, "320 px", check);
  await shot(narrow.page, spec, "narrow");
  await narrow.context.close();

  if (explorers) await without(spec, check);
  return told.join("; ");
}

/// All rules of axe, best practices among them.
async function rules(page, what, check) {
  // Not as an element: the page's own policy would refuse it.
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of found.violations) {
    const where = violation.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any.map((a) => a.message).join(" ")}`).join(" | ");
    check(false, `axe, ${what}: ${violation.id} (${violation.impact}): ${violation.help}: ${where}`);
  }
  check(found.passes.length > 15, `axe, ${what}: only ${found.passes.length} rules applied`);
}

async function structure(page, check) {
  const seen = await page.evaluate(() => ({
    h1: document.querySelectorAll("h1").length,
    broken: [...document.querySelectorAll('a[href^="#"]')].filter((a) => !document.getElementById(a.hash.slice(1))).map((a) => a.hash),
    heads: [...document.querySelectorAll("table")].filter((t) => !t.querySelector("thead th[scope=col]")).length,
    styled: document.querySelectorAll("[style]").length,
    handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))).length,
  }));
  check(seen.h1 === 1, `${seen.h1} h1`);
  check(seen.broken.length === 0, `links to nowhere: ${seen.broken}`);
  check(seen.heads === 0, `${seen.heads} tables without heads`);
  check(seen.styled === 0 && seen.handlers === 0, `${seen.styled} style and ${seen.handlers} handler attributes`);
}

/// The skip link is the first stop and leads past the head; what has the focus shows it.
async function keyboard(page, check) {
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => ({ text: document.activeElement.textContent, left: document.activeElement.getBoundingClientRect().left }));
  check(/skip/i.test(first.text) && first.left >= 0, `the first stop is ${JSON.stringify(first)}`);
  await page.keyboard.press("Enter");
  check(await page.evaluate(() => document.activeElement.id === "main"), "the skip link does not lead to the report");
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(outline !== "none", "the focus does not show");
}

/// Makes the page note how long it takes from a click or a key until the rows that it asked for are painted.
async function watch(root) {
  await root.evaluate((node) => {
    let begun = 0;
    for (const kind of ["click", "input", "change"]) node.addEventListener(kind, () => { begun = performance.now(); }, true);
    new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => { window.took = performance.now() - begun; })))
      .observe(node.querySelector("tbody"), { childList: true });
  });
}

/// What a real click or key costs, in ms.
async function timed(page, act) {
  await page.evaluate(() => { window.took = undefined; });
  await act();
  return page.waitForFunction(() => window.took, undefined, { timeout: 180000 }).then((handle) => handle.jsonValue());
}

function column(root, at) {
  return root.locator(`tbody tr > :nth-child(${at + 1})`).evaluateAll((cells) => cells.map((cell) => cell.firstChild?.firstChild?.textContent ?? cell.textContent));
}

async function explore(page, spec, loaded, check) {
  const root = page.locator("[data-explorer]").first();
  const data = await root.locator('script[type="application/json"]').evaluate((node) => JSON.parse(node.textContent));
  const text = (cell) => (Array.isArray(cell) ? cell[0] : cell);
  const status = () => root.locator("[role=status]").innerText();
  const total = data.rows.length;
  // Typing takes effect a moment later.
  const settled = (words) =>
    root.locator("[role=status]").filter({ hasText: words }).waitFor();
  if (spec.rows) check(total === spec.rows, `${total} rows, not ${spec.rows}`);
  const english = (n) => n.toLocaleString("en");
  check((await status()).includes(`of ${english(total)}.`), `the status says ${await status()}`);
  const least = Math.min(100, total);
  check((await root.locator("tbody tr").count()) === least, "not the first 100 rows");

  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const times = {};
  await watch(root);
  for (const [at, head] of data.columns.entries()) {
    const button = root.locator("thead button").nth(at);
    // The faster of both ways: a machine that pauses does not make a column slow.
    let least = Infinity;
    for (const turn of [0, 1]) {
      const time = await timed(page, () => button.click());
      least = Math.min(least, time);
      const sort = await root.locator("thead th").nth(at).getAttribute("aria-sort");
      const down = head.number ? turn === 0 : turn === 1;
      check(sort === (down ? "descending" : "ascending"), `${head.name}: aria-sort is ${sort} after ${turn + 1} clicks`);
      const shown = await column(root, at);
      let wanted;
      if (head.number) {
        const known = data.rows.map((row) => row[at][1]).filter((n) => n !== null).sort((a, b) => (down ? b - a : a - b));
        const key = new Map(data.rows.map((row) => [row[at][0], row[at][1]]));
        const got = shown.map((cell) => key.get(cell)).filter((n) => n !== null && n !== undefined);
        wanted = got.every((n, i) => n === known[i]);
      } else {
        const all = data.rows.map((row) => text(row[at]) ?? "").sort(order.compare);
        if (down) all.reverse();
        wanted = shown.every((cell, i) => order.compare(cell, all[i]) === 0);
      }
      check(wanted, `${head.name}: not in order after ${turn + 1} clicks: ${shown.slice(0, 5)}`);
    }
    times.sort = Math.max(times.sort ?? 0, least);
  }

  // Words of the last row find it, whatever the case.
  const needle = text(data.rows[total - 1][0]);
  const search = root.locator("input[type=search]");
  const wanted = needle.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = data.rows.filter((row) => wanted.every((word) => row.map(text).join("\n").toLowerCase().includes(word))).length;
  times.filter = await timed(page, () => search.fill(needle.toUpperCase()));
  if (times.filter >= 1500) {
    await search.fill("");
    await settled("of");
    times.filter = await timed(page, () => search.fill(needle.toUpperCase()));
  }
  check((await status()).includes(`of ${english(hits)}`), `a filter for ${JSON.stringify(needle)} should find ${hits}: ${await status()}`);
  await search.fill("no such words anywhere");
  await settled("No row matches");
  check((await status()).startsWith("No row matches"), `nothing should match: ${await status()}`);
  check((await root.locator("tbody tr").count()) === 0, "rows without a match");
  await search.fill("");
  await settled(`of ${english(total)}.`);

  const facets = root.locator(".tools select");
  for (let i = 0; i < (await facets.count()) - 1; i++) {
    const facet = facets.nth(i);
    const options = await facet.locator("option").evaluateAll((all) => all.slice(1).map((o) => [o.value, o.textContent]));
    const [value, label] = options[0];
    await facet.selectOption(value);
    const promised = label.match(/\(([\d,]+)\)$/)[1];
    check((await status()).includes(`of ${promised}`), `${label}: ${await status()}`);
    await facet.selectOption("");
  }

  if (total > 100) {
    const [previous, next] = [root.locator(".pager button").first(), root.locator(".pager button").last()];
    check(await previous.isDisabled(), "previous on the first page");
    await next.click();
    check((await status()).startsWith("Rows 101 to"), `the second page: ${await status()}`);
    await previous.click();
    check((await status()).startsWith("Rows 1 to"), `the first page again: ${await status()}`);
  }
  // A command is copied as it is.
  const copy = root.locator("tbody .copy").first();
  if (await copy.count()) {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const command = await copy.evaluate((button) => button.previousSibling.textContent);
    // It says so for two seconds only.
    await copy.evaluate((button) => {
      window.said = new Promise((done) => new MutationObserver(() => done(true)).observe(button, { childList: true, characterData: true, subtree: true }));
    });
    await copy.click();
    await page.evaluate(() => window.said);
    const copied = await page.evaluate(() => navigator.clipboard.readText()).catch((e) => String(e));
    check(copied === command, `copied ${JSON.stringify(copied)}, not ${JSON.stringify(command)}`);
  }
  await shot(page, spec, "light");
  if (spec.rows >= 10000) {
    // Far above what a slow machine needs, far below what people call frozen.
    check(loaded < 8000 && times.sort < 1500 && times.filter < 1500, `slow: load ${loaded}, sort ${times.sort}, filter ${times.filter} ms`);
  }
  const ms = (n) => `${Math.round(n)} ms`;
  return `${english(total)} rows: loaded in ${ms(loaded)}, sorted in ${ms(times.sort)} at most, filtered in ${ms(times.filter)}`;
}

/// What the page says is what the JSON of the same report says, and that adds up.
async function numbers(page, spec, check) {
  const report = JSON.parse(readFileSync(join(folder, spec.report), "utf8"));
  const same = (what, shown, wanted) => check(shown === wanted, `${what}: the page says ${JSON.stringify(shown)}, the JSON ${JSON.stringify(wanted)}`);
  const share = (part, whole) => (whole === 0 ? null : (Math.floor((part * 1000) / whole) / 10).toFixed(1));
  const thousands = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const money = (text) => { const [whole, cents] = text.split("."); return `${thousands(whole)}.${cents}`; };
  const figures = await page.locator(".figure").evaluateAll((all) => all.map((f) => [...f.querySelectorAll(".value, .text")].map((e) => e.textContent.trim())));
  const { overall } = report.compliance;
  same("by count", figures[0][0], overall.percent === null ? "–" : `${share(overall.compliant, overall.checked)} %`);
  check(figures[0][1].startsWith(`${thousands(String(overall.compliant))} of ${thousands(String(overall.checked))} resources`), `by count: ${figures[0][1]}`);
  same("by spend", figures[1][0], overall.spend_percent === null ? "–" : `${overall.spend_percent} %`);
  same("new", figures[2][0], report.trend.new === null ? "–" : thousands(String(report.trend.new)));
  same("nobody's", figures[3][0], thousands(String(report.resources.filter((r) => !r.compliant && r.owner === null).length)));

  const wrong = (by) => report.resources.filter((r) => !r.compliant).reduce((counts, r) => ({ ...counts, [by(r)]: (counts[by(r)] ?? 0) + 1 }), {});
  const recounted = { environment: wrong((r) => r.environment), service: wrong((r) => r.service), region: wrong((r) => r.region), team: wrong((r) => (r.owner?.source === "tag team" ? r.owner.name : "")) };
  const panels = await page.locator(".panel table").evaluateAll((tables) => tables.map((table) => ({
    name: table.caption.textContent.trim().replace("By ", ""),
    rows: [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => [...cell.childNodes].map((n) => n.textContent.trim()).filter(Boolean))),
  })));
  check(panels.length === 5, `${panels.length} panels`);
  let cells = 0;
  for (const { name, rows } of panels) {
    const by = report.compliance[`by_${name}`];
    check(rows.length === Object.keys(by).length, `by ${name}: ${rows.length} rows`);
    for (const [[label], , count, spend] of rows) {
      const key = label === "(no team)" ? "" : label;
      const wanted = by[key];
      if (!wanted) { check(spec.hostile, `by ${name}: ${label} is not in the JSON`); continue; }
      cells += 1;
      const what = `by ${name}, ${label}`;
      same(what, count[0], wanted.checked === 0 ? "–" : `${share(wanted.compliant, wanted.checked)} %`);
      same(what, count[1], `${thousands(String(wanted.compliant))} of ${thousands(String(wanted.checked))}`);
      if (wanted.spend_percent !== null) {
        same(what, spend[0], `${wanted.spend_percent} %`);
        check(spend[1].startsWith(`${money(wanted.spend)} ${report.spend.currency}`), `${what}: ${spend[1]}`);
        const part = (Number(wanted.spend_compliant) / Number(wanted.spend)) * 100;
        check(Math.abs(part - Number(wanted.spend_percent)) < 0.2 || Number(wanted.spend) < 10, `${what}: ${wanted.spend_compliant} of ${wanted.spend} is not ${wanted.spend_percent} %`);
      } else {
        check(["unknown", "no spend"].includes(spend[0]), `${what}: ${spend}`);
      }
      if (recounted[name]) same(`${what}, recounted`, wanted.checked - wanted.compliant, recounted[name][key] ?? 0);
    }
  }
  const listed = await page.locator("#all-table").first().locator("script").evaluate((s) => JSON.parse(s.textContent).rows.length).catch(() => 0);
  same("resources", listed, report.resources.length);
  return `${cells} shares as in the JSON`;
}

async function harmless(page, check) {
  const seen = await page.evaluate(() => ({
    own: window.hacked === undefined,
    elements: document.querySelectorAll("img, iframe, object, embed, form, base, link:not([rel=icon])").length,
    scripts: document.querySelectorAll("script").length - document.querySelectorAll("[data-explorer]").length,
    bidi: /[\u202a-\u202e\u2066-\u2069\u001b]/.test(document.body.innerText),
    shown: document.body.textContent.includes("<script>hacked=1</script>"),
  }));
  check(seen.own && seen.elements === 0 && seen.scripts === 1 && !seen.bidi, `hostile text became more than text: ${JSON.stringify(seen)}`);
  check(seen.shown, "the hostile text is not shown as it is");
}

/// A4: nothing is wider than the paper, and what cannot be printed is left out.
async function paper(page, spec, check) {
  const name = join(folder, spec.file.replace(/html$/, "pdf"));
  const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
  writeFileSync(name, pdf);
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page[^s]/g) ?? []).length;
  const size = pdf.toString("latin1").match(/\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)/);
  check(size && Math.abs(size[1] - 595) < 2 && Math.abs(size[2] - 842) < 2, `the paper is ${size?.slice(1)}`);
  check(pages >= 1 && pages < 120, `${pages} pages of paper`);
  if (spec.rows > 100) {
    // Whoever reads page 7 has to know what a column is.
    const sheets = execFileSync("pdftotext", ["-layout", name, "-"], { maxBuffer: 1 << 26 }).toString().split("\f");
    const rows = sheets.filter((sheet) => (sheet.match(/-0\d{4}\b/g) ?? []).length > 3);
    const named = rows.filter((sheet) => /Resource/.test(sheet) && /Owner/.test(sheet));
    check(rows.length > 2 && named.length === rows.length, `${rows.length - named.length} of ${rows.length} sheets have rows without their head`);
    const back = await page.locator("[data-explorer] thead button").count();
    check(back > 0, "no buttons in the head after printing");
  }
  // 180 mm between the margins, at 96 dpi.
  await page.setViewportSize({ width: 680, height: 1000 });
  await page.emulateMedia({ media: "print" });
  const wide = await page.evaluate(() => [...document.querySelectorAll("main *, header *")].filter((e) => e.getBoundingClientRect().right > 681 && !e.closest(".hide, thead")).slice(0, 3).map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 40)}`));
  check(wide.length === 0, `wider than the paper: ${wide}`);
  const tools = await page.locator(".tools, .pager, .copy, .jump").evaluateAll((all) => all.filter((e) => e.getBoundingClientRect().height > 0).length);
  check(tools === 0, `${tools} buttons on paper`);
  const colour = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check(colour === "rgb(255, 255, 255)", `the paper is ${colour}`);
  await page.emulateMedia({ media: null });
  return `${pages} pages of A4`;
}

/// Without JavaScript: the first rows, and a word about the others.
async function without(spec, check) {
  const { context, page } = await open(spec, { javaScriptEnabled: false }, check);
  const root = page.locator("[data-explorer]").first();
  const rows = await root.locator("tbody tr").count();
  check(rows > 0, "no rows without JavaScript");
  check(!(await root.locator(".tools").isVisible()), "tools that do nothing are shown");
  if (spec.rows > 100) check(/JavaScript/.test(await root.locator(".state").innerText()), "no word about the other rows");
  await context.close();
}

async function shot(page, spec, name) {
  await page.screenshot({ path: join(folder, `${spec.file}.${name}.png`), fullPage: (spec.rows ?? 0) < 1000 });
}
