"use strict";
// Tables that are sorted, filtered and paged. Text of an account only ever goes through textContent.
(() => {
  // Where rows are stacked, a hundred of them are a long way.
  const PAGE = matchMedia("(max-width: 44rem)").matches ? 25 : 100;
  const PRINTED = 500;
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const count = new Intl.NumberFormat("en");
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const shown = (cell) => (cell === null ? "" : Array.isArray(cell) ? cell[0] : cell);

  function copyButton(text) {
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.append(make("span", { className: "hide", textContent: " the command" }));
    button.addEventListener("click", async () => {
      let done = true;
      try { await navigator.clipboard.writeText(text); } catch { done = false; }
      button.firstChild.textContent = done ? "Copied" : "Select it by hand";
      setTimeout(() => { button.firstChild.textContent = "Copy"; }, 2000);
    });
    return button;
  }
  for (const code of document.querySelectorAll("code[data-copy]")) code.after(copyButton(code.textContent));

  function explorer(root) {
    const { columns, rows } = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    const table = root.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const tools = root.querySelector(".tools");
    const pager = root.querySelector(".pager");
    const state = root.querySelector(".state");
    const scroll = root.querySelector(".scroll");
    const words = new Array(rows.length);
    const text = (i) => (words[i] ??= rows[i].map(shown).join("\n").toLowerCase());
    let all = rows.map((_, i) => i);
    let found = all;
    let page = 0;
    let sort = { column: -1, down: false };

    const search = tools.querySelector("input");
    const facets = [];
    columns.forEach((column, at) => {
      if (!column.facet) return;
      const counts = new Map();
      for (const row of rows) {
        const value = shown(row[at]);
        counts.set(value, (counts.get(value) ?? 0) + 1);
      }
      if (counts.size < 2 || counts.size > 60) return;
      const select = make("select", {}, make("option", { value: "", textContent: "all" }));
      for (const value of [...counts.keys()].sort(order.compare)) {
        select.append(make("option", { value: "=" + value, textContent: `${value || "(none)"} (${count.format(counts.get(value))})` }));
      }
      select.addEventListener("change", filter);
      tools.append(make("label", {}, column.name, select));
      facets.push([at, select]);
    });
    // Where the head is not shown, because rows are stacked, the order is chosen here.
    const chooser = make("select", {}, make("option", { value: "", textContent: "as reported" }));
    columns.forEach((column, at) => {
      chooser.append(make("option", { value: `${at}+`, textContent: `${column.name}, ascending` }));
      chooser.append(make("option", { value: `${at}-`, textContent: `${column.name}, descending` }));
    });
    chooser.addEventListener("change", () => {
      const value = chooser.value;
      sort = value ? { column: parseInt(value, 10), down: value.endsWith("-") } : { column: -1, down: false };
      arrange();
    });
    tools.append(make("label", { className: "order" }, "Order", chooser));

    const buttons = heads.map((head, at) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        sort = { column: at, down: sort.column === at ? !sort.down : columns[at].number === true };
        arrange();
      });
      return button;
    });

    function arrange() {
      const { column, down } = sort;
      heads.forEach((head, at) => head.setAttribute("aria-sort", at !== column ? "none" : down ? "descending" : "ascending"));
      chooser.value = column < 0 ? "" : `${column}${down ? "-" : "+"}`;
      all = rows.map((_, i) => i);
      if (column >= 0) {
        const sign = down ? -1 : 1;
        if (columns[column].number) {
          // What is not known comes last in both directions.
          const key = rows.map((row) => (Array.isArray(row[column]) ? row[column][1] : null));
          all.sort((a, b) => (key[a] === null) - (key[b] === null) || sign * (key[a] - key[b]) || a - b);
        } else {
          // Each different text is compared once: thousands of rows share a few.
          const different = [...new Set(rows.map((row) => shown(row[column])))].sort(order.compare);
          const rank = new Map(different.map((value, place) => [value, place]));
          const key = rows.map((row) => rank.get(shown(row[column])));
          all.sort((a, b) => sign * (key[a] - key[b]) || a - b);
        }
      }
      filter();
    }

    function filter() {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = facets.filter(([, select]) => select.value).map(([at, select]) => [at, select.value.slice(1)]);
      found = all.filter((i) => chosen.every(([at, value]) => shown(rows[i][at]) === value) && wanted.every((word) => text(i).includes(word)));
      page = 0;
      draw();
    }

    function line(row) {
      const tr = document.createElement("tr");
      tr.setAttribute("role", "row");
      columns.forEach((column, at) => {
        const td = document.createElement(at === 0 ? "th" : "td");
        td.setAttribute("role", at === 0 ? "rowheader" : "cell");
        if (at === 0) td.scope = "row"; else td.dataset.label = column.name;
        if (column.class) td.className = column.class;
        const value = shown(row[at]);
        if (!value) {
          // Nothing to show.
        } else if (Array.isArray(row[at])) {
          td.textContent = value;
        } else if (column.kind === "severity") {
          td.append(make("span", { className: `severity ${value}`, textContent: value }));
        } else if (column.kind === "command") {
          td.append(make("code", { textContent: value }), copyButton(value));
        } else if (column.kind === "code") {
          td.append(make("code", { textContent: value }));
        } else {
          td.textContent = value;
        }
        tr.append(td);
      });
      return tr;
    }

    function draw(most = PAGE) {
      const pages = Math.max(1, Math.ceil(found.length / most));
      const from = page * most;
      const part = found.slice(from, from + most);
      body.replaceChildren(...part.map((i) => line(rows[i])));
      const of = found.length === rows.length ? "" : `, of ${count.format(rows.length)} in all`;
      state.textContent = found.length === 0
        ? `No row matches${of}.`
        : `Rows ${count.format(from + 1)} to ${count.format(from + part.length)} of ${count.format(found.length)}${of}.`;
      pager.hidden = pages < 2;
      const [previous, next] = pager.querySelectorAll("button");
      previous.disabled = page === 0;
      next.disabled = page >= pages - 1;
      pager.querySelector("span").textContent = `Page ${count.format(page + 1)} of ${count.format(pages)}`;
    }

    function turn(by) {
      page += by;
      draw();
      root.scrollIntoView({ block: "start" });
    }
    const [previous, next] = pager.querySelectorAll("button");
    previous.addEventListener("click", () => turn(-1));
    next.addEventListener("click", () => turn(1));
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(filter, 80);
    });
    // On paper: more rows than on a page of the screen, and a word about those that are left out.
    let kept = 0;
    addEventListener("beforeprint", () => {
      kept = page;
      page = 0;
      // Chromium repeats a head on each sheet only if nothing in it can be clicked.
      heads.forEach((head) => head.replaceChildren(head.textContent));
      draw(PRINTED);
      if (found.length > PRINTED) state.textContent += " The CSV has them all.";
    });
    addEventListener("afterprint", () => {
      heads.forEach((head, at) => head.replaceChildren(buttons[at]));
      page = kept;
      draw();
    });
    // A box that scrolls has to be reachable with the keyboard, one that does not should not be.
    const reach = () => {
      if (scroll.scrollWidth > scroll.clientWidth) scroll.tabIndex = 0; else scroll.removeAttribute("tabindex");
    };
    new ResizeObserver(reach).observe(scroll);
    tools.hidden = false;
    draw();
  }
  for (const root of document.querySelectorAll("[data-explorer]")) explorer(root);
})();
