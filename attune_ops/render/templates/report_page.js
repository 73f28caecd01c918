"use strict";
// Adds a filter to each table and a sort button to each heading. It fetches and stores nothing, and builds no HTML from text.
const FIRST = 300; // rows shown until "show all": the layout of thousands takes seconds
for (const section of document.querySelectorAll("section.listing")) {
  const table = section.querySelector("table");
  if (!table) continue;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = document.createElement("output");
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "rows with all these words";
  label.append(`Filter ${section.dataset.name} `, input);
  const bar = document.createElement("p");
  bar.className = "tools";
  const more = document.createElement("button");
  more.type = "button";
  more.textContent = "show all";
  bar.append(label, " ", count, " ", more);
  table.parentElement.before(bar);
  let first = FIRST;
  const cut = () => {
    let shown = 0;
    for (const row of body.rows) if (!row.hidden) row.classList.toggle("beyond", (shown += 1) > first);
    const of = shown < rows.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    count.textContent = shown > first ? `${of}, the first ${first} shown` : of;
    more.hidden = shown <= first;
  };
  more.addEventListener("click", () => {
    first = Infinity;
    cut();
  });
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
    });
    cut();
  };
  input.addEventListener("input", filter);
  filter();

  const natural = new Intl.Collator("en", { numeric: true });
  const key = (row, column) => row.cells[column].dataset.k ?? row.cells[column].textContent;
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const numbers = heading.classList.contains("right");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.ariaSort === "ascending" || (numbers && heading.ariaSort !== "descending");
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const keyed = rows.map((row) => [key(row, column), row]);
      const known = keyed.filter(([k]) => k !== "—");
      known.sort(([a], [b]) => (numbers ? a - b : natural.compare(a, b)) * (descending ? -1 : 1));
      body.append(...known.map(([, row]) => row), ...keyed.filter(([k]) => k === "—").map(([, row]) => row));
      cut();
    });
  });
}

addCopyButtons(document);

// Print every folded part open.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
