"use strict";
for (const heading of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  const arrow = document.createElement("span");
  arrow.className = "arrow";
  button.insertBefore(arrow, button.querySelector("small"));
  button.addEventListener("click", () => sortBy(heading));
  heading.append(button);
}
function sortBy(heading) {
  const upwards = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", upwards ? "ascending" : "descending");
  const body = heading.closest("table").tBodies[0];
  const key = (row) => {
    const cell = row.cells[heading.cellIndex], number = Number(cell.dataset.key ?? NaN);
    return Number.isNaN(number) ? cell.textContent.trim() : number;
  };
  const order = (a, b) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // words after numbers
    const apart = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    return upwards ? apart : -apart;
  };
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
}
for (const command of document.querySelectorAll("code.copy")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copied";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  });
  command.after(button);
}
