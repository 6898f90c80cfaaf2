// Searching, filtering and comparing; whatever it puts on a page is text.
"use strict";
const portal = { facts: {} };
portal.told = (base, facts) => { portal.facts[base] = facts; };

function filter(rows, form) {
  const words = form.querySelector("#search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = [...form.querySelectorAll("[data-key]")].map((field) => [field.dataset.key, field.value]).filter(([, value]) => value);
  let number = 0;
  for (const { row, text } of rows) {
    const fits = words.every((word) => text.includes(word)) && wanted.every(([key, value]) =>
      key === "from" ? row.dataset.date >= value : key === "until" ? row.dataset.date <= value : row.dataset[key] === value);
    if (row.hidden === fits) row.hidden = !fits;
    number += fits;
  }
  form.querySelector("#count").value = `${number} of ${rows.length} runs`;
  document.getElementById("none").hidden = number > 0 || !rows.length;
}

function list(form) {
  const rows = [...document.querySelectorAll("#runs tbody tr")].map((row) => ({ row, text: `${row.textContent} ${row.dataset.more}`.toLowerCase() }));
  const search = form.querySelector("#search"), link = document.getElementById("compare");
  form.hidden = false;
  form.addEventListener("input", () => filter(rows, form));
  form.addEventListener("reset", () => setTimeout(() => filter(rows, form)));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, select")) { event.preventDefault(); search.focus(); }
    if (event.key === "Escape" && event.target === search) { search.value = ""; filter(rows, form); }
  });
  const ticks = () => {
    const chosen = [...document.querySelectorAll("#runs .tick input:checked")].map((tick) => tick.value);
    link.hidden = chosen.length !== 2;
    link.href = `compare.html#${chosen.reverse().join("&")}`;
  };
  document.getElementById("runs").addEventListener("change", ticks);
  filter(rows, form);
  ticks();
}

function load(base) {
  if (portal.facts[base]) return Promise.resolve();
  return new Promise((done) => {
    const script = document.createElement("script");
    script.src = `${base}/facts.js`;
    script.onload = script.onerror = done;
    document.head.append(script);
  });
}

function cell(row, kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  row.append(made);
}

async function compare(form) {
  const chosen = [...form.querySelectorAll("select")].map((side) => side.value);
  await Promise.all(chosen.filter(Boolean).map(load));
  const sides = chosen.map((base) => new Map((portal.facts[base] || []).map(([part, name, text]) => [`${part}\n${name}`, text])));
  const body = document.getElementById("facts"), every = document.getElementById("all").checked;
  body.replaceChildren();
  let part = "", number = 0;
  const names = [...new Set(sides.flatMap((side) => [...side.keys()]))];
  const order = [...new Set(names.map((name) => name.split("\n")[0]))];
  names.sort((one, other) => order.indexOf(one.split("\n")[0]) - order.indexOf(other.split("\n")[0]));
  for (const name of names) {
    const [one, other] = sides.map((side) => side.get(name) ?? "");
    const differs = one !== other;
    number += differs;
    if (!differs && !every) continue;
    const [head, key] = [name.slice(0, name.indexOf("\n")), name.slice(name.indexOf("\n") + 1)];
    if (head !== part) {
      const row = body.insertRow();
      cell(row, "th", part = head);
      row.cells[0].colSpan = 3;
    }
    const row = body.insertRow();
    row.className = differs ? "differs" : "";
    [(differs ? "≠ " : "") + key, one, other].forEach((text) => cell(row, "td", text));
  }
  form.querySelector("#count").value = `${number} of ${names.length} differ`;
}

function pair(form) {
  const selects = [...form.querySelectorAll("select")];
  const given = location.hash.slice(1).split("&");
  selects.forEach((side, at) => {
    const found = [...side.options].findIndex((option) => option.value === given[at]);
    side.selectedIndex = found >= 0 ? found : Math.min(at, side.options.length - 1);
  });
  form.addEventListener("input", () => {
    history.replaceState(null, "", `#${selects.map((side) => side.value).join("&")}`);
    compare(form);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  compare(form);
}

const filters = document.getElementById("filters"), sides = document.getElementById("pair");
if (filters) list(filters);
if (sides) pair(sides);
