"use strict";
// Gives every table marked data-tools a bar: a filter, a choice of columns and of digits, copying as
// LaTeX, CSV and Markdown; and headings that sort. Without this script the tables are whole.
// Text from the page is only ever read and written as text.
(() => {
  const make = (name, attributes = {}, ...inside) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key in element && typeof value !== "string") element[key] = value;
      else element.setAttribute(key, value);
    }
    element.append(...inside);
    return element;
  };

  // --- reading a table -------------------------------------------------------------------------

  /** Whether a node of a cell belongs to its text: no note, no links. */
  const isText = (node) => node.nodeName !== "SMALL" && !node.classList?.contains("links");

  const read = (cell) => {
    const note = cell.querySelector("small");
    const text = [...cell.childNodes].filter(isText);
    return {
      cell,
      note,
      holder: cell.querySelector("strong") ?? cell,
      best: cell.querySelector("strong") !== null,
      text: text.map((node) => node.textContent).join("").trim(),
      noteText: note?.textContent ?? "",
      raw: cell.dataset.raw ? cell.dataset.raw.split(",").map(Number) : [],
      half: cell.dataset.half ? Number(cell.dataset.half) : null,
    };
  };

  const printed = (value, digits, signed) => {
    const text = digits === "all" ? String(value) : value.toFixed(digits);
    return signed && !text.startsWith("-") ? `+${text}` : text;
  };

  /** Text and note of a cell at the digits asked for; "given": as the page came. */
  const shown = (entry, digits) => {
    if (digits === "given" || !entry.raw.length) return [entry.text, entry.noteText];
    const ends = entry.raw.map((value) => printed(value, digits, entry.text.includes("+")));
    const note = entry.half === null
      ? entry.noteText
      : entry.noteText.replace(/^±[^ ]*?(?=, |$)/, `±${printed(entry.half, digits, false)}`);
    return [ends.length === 2 ? `[${ends.join(", ")}]` : ends[0], note];
  };

  // --- copying ---------------------------------------------------------------------------------

  const TEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", '"': "\\textquotedbl{}",
    "±": "$\\pm$", "−": "$-$", "×": "$\\times$", "↑": "$\\uparrow$", "↓": "$\\downarrow$",
    "—": "---", "…": "\\ldots{}", "²": "$^2$",
  };
  const tex = (text) => text
    .replace(/[\\~^<>|"±−×↑↓—…²]|[&%$#_{}]/g, (sign) => TEX[sign] ?? `\\${sign}`)
    .replace(/(^|[ [])-(?=\d)/g, "$1$-$")
    .replace(/\s+/g, " ");
  const markdown = (text) => text.replace(/[\\`*_|<>[\]#~]/g, "\\$&").replace(/\s+/g, " ");
  // a cell of text that begins like a formula would be one in a spreadsheet
  const csv = (text, isNumber = false) => {
    const safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const both = ([text, note]) => (note ? `${text} ${/^±/.test(note) ? note : `(${note})`}` : text);

  const FORMATS = {
    LaTeX: ({ header, rows, digits }) => {
      const cells = (row) => row.map((entry) => {
        const text = tex(both(shown(entry, digits)));
        return entry.best ? `\\textbf{${text}}` : text;
      }).join(" & ") + " \\\\";
      const sides = header.map((_, i) => (rows.some((row) => row[i].raw.length) ? "r" : "l"));
      return [
        `\\begin{tabular}{${sides.join("")}}`, "\\toprule", cells(header), "\\midrule",
        ...rows.map(cells), "\\bottomrule", "\\end{tabular}", "",
      ].join("\n");
    },
    Markdown: ({ header, rows, digits }) => {
      const line = (cells) => `| ${cells.join(" | ")} |`;
      const cells = (row) => line(row.map((entry) => {
        const text = markdown(both(shown(entry, digits)));
        return entry.best ? `**${text}**` : text;
      }));
      const sides = header.map((_, i) => (rows.some((row) => row[i].raw.length) ? "--:" : "---"));
      return [cells(header), line(sides), ...rows.map(cells), ""].join("\n");
    },
    // every number in full, whatever digits are shown; what stands under it in columns of its own
    CSV: ({ header, rows }) => {
      const columns = header.flatMap((head, i) => {
        const own = rows.map((row) => row[i]);
        const name = both([head.text, head.noteText]);
        const number = (entry) => {
          if (entry.raw.length === 1) return csv(String(entry.raw[0]), true);
          return csv(entry.text, entry.raw.length > 0);
        };
        const found = [[csv(name), ...own.map(number)]];
        if (own.some((entry) => entry.half !== null)) {
          const half = own.map((entry) => (entry.half === null ? "" : String(entry.half)));
          found.push([csv(`${name} ±`), ...half]);
        }
        const notes = own.map((entry) => entry.noteText.replace(/^±[^ ]*?(, |$)/, ""));
        if (notes.some(Boolean)) found.push([csv(`${name} note`), ...notes.map((n) => csv(n))]);
        return found;
      });
      return columns[0].map((_, i) => columns.map((column) => column[i]).join(",")).join("\r\n") + "\r\n";
    },
  };

  const copy = async (text, bar) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed here: the older way, and where that fails too, the text to copy by hand
      bar.querySelector("textarea")?.remove();
      const area = make("textarea", { readonly: "", rows: "6", "aria-label": "Text to copy" });
      area.value = text;
      bar.append(area);
      area.select();
      const done = document.execCommand("copy");
      if (done) area.remove();
      return done;
    }
  };

  // --- one table -------------------------------------------------------------------------------

  const equip = (table) => {
    const name = table.getAttribute("aria-label") ?? "table";
    const body = table.tBodies[0];
    const header = [...table.tHead.rows[0].cells].map(read);
    const lines = [...body.rows].map((row) => ({ row, entries: [...row.cells].map(read) }));
    const hidden = new Set();
    let order = [...lines];
    let digits = "given";
    const status = make("span", { role: "status" });
    const say = (text) => { status.textContent = text; };

    // sorting
    const sort = (column, way) => {
      header.forEach(({ cell }, i) => {
        if (i === column && way) cell.setAttribute("aria-sort", way);
        else cell.removeAttribute("aria-sort");
      });
      const sign = way === "descending" ? -1 : 1;
      const numeric = lines.some(({ entries }) => entries[column].raw.length);
      const key = ({ entries }) => (numeric ? entries[column].raw[0] : entries[column].text);
      order = [...lines];
      if (way) {
        order.sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (numeric && (x === undefined || y === undefined)) return (x === undefined) - (y === undefined);
          return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
        });
      }
      body.append(...order.map(({ row }) => row));
      say(way ? `Sorted by ${header[column].text}, ${way}.` : "In the order of the study.");
    };
    header.forEach(({ cell, text, noteText }, column) => {
      // the note and its links stay outside the button
      const inner = [...cell.childNodes].filter(isText);
      const label = `${text || "first column"}${noteText ? ` (${noteText})` : ""}`;
      const button = make("button", { type: "button", class: "sort", title: `Sort by ${label}` }, ...inner);
      cell.prepend(button);
      if (!text) button.setAttribute("aria-label", "Sort by the first column");
      button.addEventListener("click", () => {
        const now = cell.getAttribute("aria-sort");
        const first = lines.some(({ entries }) => entries[column].raw.length) ? "descending" : "ascending";
        const second = first === "descending" ? "ascending" : "descending";
        sort(column, now === null ? first : now === first ? second : null);
      });
    });

    // filter
    const filter = make("input", { type: "search", placeholder: "Filter rows", "aria-label": `Filter the rows of: ${name}` });
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { row, entries } of lines) {
        const text = entries.map((entry) => `${entry.text} ${entry.noteText}`).join(" ").toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      say(`${lines.filter(({ row }) => !row.hidden).length} of ${lines.length} rows`);
    });

    // columns
    const summary = make("summary");
    const choose = (column, on) => {
      if (on) hidden.delete(column);
      else hidden.add(column);
      for (const entries of [header, ...lines.map((line) => line.entries)]) entries[column].cell.hidden = !on;
      summary.textContent = `Columns (${header.length - hidden.size} of ${header.length})`;
    };
    const boxes = header.slice(1).map((entry, i) => {
      const box = make("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => choose(i + 1, box.checked));
      const alone = header.filter(({ text }) => text === entry.text).length === 1;
      const unclear = !alone || entry.cell.classList.contains("published");
      const told = unclear && entry.noteText ? `${entry.text} (${entry.noteText})` : entry.text;
      return { box, label: make("label", {}, box, ` ${told}`) };
    });
    const set = (test) => boxes.forEach(({ box }, i) => { box.checked = test(i + 1); choose(i + 1, box.checked); });
    const minor = new Set((table.dataset.minor ?? "").split(",").filter(Boolean).map(Number));
    const presets = [["all", () => true]];
    if (minor.size) presets.push(["declared", (column) => !minor.has(column)]);
    const columns = make("details", { class: "choose" }, summary, make("fieldset", {},
      make("legend", {}, `Columns of: ${name}`),
      make("p", {}, ...presets.map(([label, test]) => {
        const button = make("button", { type: "button" }, label);
        button.addEventListener("click", () => set(test));
        return button;
      })),
      ...boxes.map(({ label }) => label)));
    columns.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      columns.open = false;
      summary.focus();
    });
    set((column) => !minor.has(column));

    // digits
    const select = make("select", { "aria-label": `Digits in: ${name}` },
      make("option", { value: "given" }, "digits: as given"),
      ...[0, 1, 2, 3, 4, 5, 6].map((n) => make("option", { value: String(n) }, `${n} decimals`)),
      make("option", { value: "all" }, "all digits"));
    select.addEventListener("change", () => {
      digits = /^\d$/.test(select.value) ? Number(select.value) : select.value;
      for (const { entries } of lines) {
        for (const entry of entries.filter(({ raw }) => raw.length)) {
          const [text, note] = shown(entry, digits);
          entry.holder.firstChild.nodeValue = text;
          if (entry.note) entry.note.textContent = note;
        }
      }
    });

    // copying
    const bar = make("div", { class: "tools", role: "group", "aria-label": `Tools of: ${name}` });
    const visible = (entries) => entries.filter((_, column) => !hidden.has(column));
    const buttons = Object.entries(FORMATS).map(([format, write]) => {
      const button = make("button", { type: "button", "aria-label": `Copy as ${format}: ${name}` }, format);
      button.addEventListener("click", async () => {
        const rows = order.filter(({ row }) => !row.hidden).map(({ entries }) => visible(entries));
        const done = await copy(write({ header: visible(header), rows, digits }), bar);
        say(done ? `Copied ${rows.length} rows as ${format}.` : "Press Ctrl+C to copy.");
      });
      return button;
    });
    const numbers = lines.some(({ entries }) => entries.some(({ raw }) => raw.length));
    bar.append(filter, ...(boxes.length > 2 ? [columns] : []), ...(numbers ? [select] : []),
      make("span", { class: "copy" }, "Copy: ", ...buttons), status);
    table.parentElement.before(bar);
  };

  document.querySelectorAll("table[data-tools]").forEach(equip);
})();
