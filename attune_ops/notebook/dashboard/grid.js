// A table with headings that sort and a field that filters as one types. The kernel filters and sorts, so that all rows
// count and not only those that are drawn; text is only ever set as text.
const SVG = "http://www.w3.org/2000/svg";

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function line(points) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 18");
  svg.setAttribute("width", "120");
  svg.setAttribute("height", "18");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "polyline");
  path.setAttribute("points", points);
  svg.append(path);
  return svg;
}

function render({ model, el }) {
  const field = element("input", { type: "search", placeholder: "part of a name, or /regular expression/" });
  const remarks = element("div", { className: "remarks" });
  const table = element("table");
  const scroll = element("div", { className: "scroll", tabIndex: 0 }, table);
  const bar = element("p", { className: "tools" }, element("label", {}, `Filter ${model.get("label")} `, field));
  el.classList.add("attune-grid");
  el.append(bar, scroll, remarks);

  let waiting;
  field.value = model.get("filter");
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      model.set("filter", field.value);
      model.save_changes();
    }, 150);
  });

  const sort = (column) => {
    const numbers = column.right;
    const descending = model.get("order") === column.name ? !model.get("descending") : numbers;
    model.set({ order: column.name, descending });
    model.save_changes();
  };
  const headings = () => {
    const shown = model.get("content");
    bar.hidden = !shown.columns.length && !field.value;
    const row = element("tr");
    for (const column of shown.columns) {
      const heading = element("th", { scope: "col", title: column.doc, className: column.right ? "right" : "" });
      if (column.name) heading.append(element("button", { type: "button", onclick: () => sort(column) }, column.name));
      if (column.name === model.get("order")) {
        heading.setAttribute("aria-sort", model.get("descending") ? "descending" : "ascending");
      }
      row.append(heading);
    }
    return element("thead", {}, row);
  };
  const cell = (column, [text, tone, points]) => {
    const made = element("td", { className: [column.right ? "right" : "", tone ?? ""].join(" ").trim() });
    made.append(points ? line(points) : text);
    if (text.length > 40) made.classList.add("name");
    return made;
  };
  const draw = () => {
    const { columns, rows, notes, stale } = model.get("content");
    const body = element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((c, i) => cell(columns[i], c)))));
    const held = document.activeElement?.closest?.("th")?.textContent; // keep the focus on the heading that was used
    table.replaceChildren(headings(), body);
    table.hidden = !columns.length;
    if (held && table.closest(":root")) [...table.querySelectorAll("th button")].find((b) => b.textContent === held)?.focus();
    remarks.replaceChildren(...notes.map((note) => element("p", {}, note)));
    el.classList.toggle("stale", stale);
  };
  model.on("change:content", draw);
  draw();
  return () => clearTimeout(waiting);
}

export default { render };
