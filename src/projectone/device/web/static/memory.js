// What is remembered: the switch, a note, forgetting one or all.

import { sendJson } from "./api.js";
import { listen, refresh } from "./refresh.js";
import { complain, confirmDialog, say, toast } from "./say.js";

listen(
  {
    async "use-memory"(input) {
      const isOn = input.checked;
      try {
        await sendJson("PUT", "/api/memory", { is_on: isOn });
      } catch (error) {
        input.checked = !isOn;
        throw error;
      }
      await refresh("#remember", "#memories");
      say(isOn ? "What you say from now on is remembered here." : "Nothing more is remembered. What is here stays until you forget it.");
    },

    async forget({ dataset }) {
      await sendJson("DELETE", `/api/memory/${dataset.id}`);
      await refresh("#memories");
      toast("Forgotten.");
    },

    async "forget-all"({ dataset }) {
      const n = Number(dataset.n);
      const isSure = await confirmDialog({
        title: n === 1 ? "Forget the only memory?" : `Forget all ${n} memories?`,
        body: "Your recordings stay. This cannot be undone.",
        yes: "Forget everything",
        no: "Keep",
        isDangerous: true,
      });
      if (!isSure) return;
      const { forgotten } = await sendJson("DELETE", "/api/memory");
      await refresh("#memories");
      toast(`${forgotten} forgotten.`);
    },
  },
  complain,
);

document.addEventListener("submit", async (event) => {
  if (event.target.id !== "add") return;
  event.preventDefault();
  const field = document.getElementById("new-memory");
  try {
    await sendJson("POST", "/api/memory", { text: field.value });
    field.value = "";
    await refresh("#memories");
    toast("Remembered.");
  } catch (error) {
    complain(error);
  }
  field.focus();
});
