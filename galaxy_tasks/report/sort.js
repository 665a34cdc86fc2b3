// A click on a column's title sorts the table's rows by it; another click turns the order round.
document.addEventListener("DOMContentLoaded", () => {
  const isTime = /^\d{4}-\d\d-/;
  const numberOf = (text) => isTime.test(text) ? NaN : parseFloat(text.replaceAll(",", "").replace("−", "-"));
  // What is written for people to read has its value beside it. Else the value stands first in a
  // cell, and notes on it in elements of their own.
  const textOf = (cell) => {
    if (cell?.dataset.value !== undefined) return cell.dataset.value;
    const first = cell && [...cell.childNodes].find((node) => node.textContent.trim());
    return first ? first.textContent.trim() : "";
  };
  const compare = (one, other) => {
    const [a, b] = [numberOf(one), numberOf(other)];
    if (Number.isNaN(a) || Number.isNaN(b)) return one.localeCompare(other);
    return a - b;
  };
  for (const table of document.querySelectorAll("table:not(.confusion, .settings)")) {
    if (!table.tHead || table.tHead.rows.length !== 1 || table.tBodies[0].rows.length < 2) continue;
    for (const [column, title] of [...table.tHead.rows[0].cells].entries()) {
      if (!title.textContent.trim() || title.querySelector(".scale")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...title.childNodes);
      title.append(button);
      button.addEventListener("click", () => {
        const direction = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        title.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        const whole = rows.filter((row) => row.cells.length === table.tHead.rows[0].cells.length);
        whole.sort((a, b) => direction * compare(textOf(a.cells[column]), textOf(b.cells[column])));
        const others = rows.filter((row) => !whole.includes(row));
        table.tBodies[0].append(...whole, ...others);
      });
    }
  }
});
