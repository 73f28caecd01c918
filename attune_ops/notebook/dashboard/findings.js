// Findings that stay unfolded when they are drawn again, with a button that copies each command (copy_button.js).
function render({ model, el }) {
  const draw = () => {
    const open = new Set([...el.querySelectorAll("details[open]")].map((d) => d.dataset.key));
    el.innerHTML = model.get("value"); // the kernel's template, with every name escaped
    for (const details of el.querySelectorAll("details")) details.open = open.has(details.dataset.key);
    addCopyButtons(el);
  };
  model.on("change:value", draw);
  draw();
}

export default { render };
