// Sorts a table, block by block, by the column whose head is pressed: the better end first, pressed again the other.
// Figures that are missing stay at the bottom.
document.documentElement.classList.add("js");
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.dataset.better === "higher" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((cell) => cell.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const value = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => (column === 0 ? a.localeCompare(b) : a - b);
      for (const block of table.tBodies) {
        const rows = [...block.querySelectorAll("tr:not(.group)")].sort((one, two) => {
          const [a, b] = [value(one), value(two)];
          if (a === "" || b === "") return (a === "") - (b === "");
          return order === "ascending" ? compare(a, b) : compare(b, a);
        });
        block.append(...rows);
      }
    });
  });
}
