"use strict";
// Gives each table a filter, and each of its headings a button that sorts. Nothing is fetched, stored or built from text.
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
  input.placeholder = "words, all of them";
  label.append(`Filter ${section.dataset.name} `, input);
  const bar = document.createElement("p");
  bar.className = "tools";
  bar.append(label, " ", count);
  table.parentElement.before(bar);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      if (!row.hidden) shown += 1;
    });
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
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
      const told = keyed.filter(([k]) => k !== "—");
      told.sort(([a], [b]) => (numbers ? a - b : natural.compare(a, b)) * (descending ? -1 : 1));
      body.append(...told.map(([, row]) => row), ...keyed.filter(([k]) => k === "—").map(([, row]) => row));
    });
  });
}
