// Findings that stay unfolded when they are drawn again, with a button that copies each command.
function render({ model, el }) {
  const draw = () => {
    const open = new Set([...el.querySelectorAll("details[open]")].map((d) => d.dataset.key));
    el.innerHTML = model.get("value"); // the kernel's template, with every name escaped
    for (const details of el.querySelectorAll("details")) details.open = open.has(details.dataset.key);
    for (const command of el.querySelectorAll(".command")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        const code = command.querySelector("code");
        try {
          await navigator.clipboard.writeText(code.textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(code); // not allowed: Ctrl-C copies the selection
          button.textContent = "Selected";
        }
        setTimeout(() => (button.textContent = "Copy"), 2000);
      });
      command.append(button);
    }
  };
  model.on("change:value", draw);
  draw();
}

export default { render };
