// The list: add, search, use or not, remove.

import { sendJson } from "./api.js";
import { listen, refresh } from "./refresh.js";
import { complain, say, toast } from "./say.js";

const path = (term) => `/api/vocabulary/${encodeURIComponent(term)}`;
const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function search() {
  const field = document.getElementById("search");
  if (!field) return;
  const wanted = fold(field.value.trim());
  let n = 0;
  for (const row of document.querySelectorAll(".term")) {
    row.hidden = !fold(row.dataset.term).includes(wanted);
    n += !row.hidden;
  }
  document.getElementById("found").textContent = wanted ? `${n} found` : "";
}

async function redraw() {
  const wanted = document.getElementById("search")?.value ?? "";
  await refresh("#terms");
  const field = document.getElementById("search");
  if (field) field.value = wanted;
  search();
}

async function change(input, path, words) {
  try {
    await sendJson("PUT", path, { is_on: input.checked });
  } catch (error) {
    input.checked = !input.checked;
    throw error;
  }
  await redraw();
  say(words);
}

listen(
  {
    "use-list": (input) => change(input, "/api/vocabulary", input.checked ? "The list is used." : "The list is not used."),

    term: (input) => {
      const { term } = input.dataset;
      return change(input, path(term), input.checked ? `${term} is used.` : `${term} is not used.`);
    },

    async remove({ dataset: { term } }) {
      await sendJson("DELETE", path(term));
      await redraw();
      const undo = async () => {
        try {
          await sendJson("POST", path(term));
          await redraw();
        } catch (error) {
          complain(error);
        }
      };
      toast(`${term} is off the list.`, { undo });
    },
  },
  complain,
);

document.getElementById("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.getElementById("new-term");
  try {
    const term = await sendJson("POST", "/api/vocabulary", { text: field.value });
    field.value = "";
    await redraw();
    toast(`${term.text} is on the list.`);
  } catch (error) {
    complain(error);
  }
  field.focus();
});
document.addEventListener("input", (event) => {
  if (event.target.id === "search") search();
});
