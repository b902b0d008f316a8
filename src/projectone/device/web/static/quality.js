// The switch: on with the words that stand beside it, off at once.

import { sendJson } from "./api.js";
import { outcome } from "./outcome.js";
import { listen, refresh } from "./refresh.js";
import { complain } from "./say.js";

listen(
  {
    async "consent-quality"(input) {
      const isOn = input.checked;
      try {
        await sendJson("PUT", "/api/quality", { is_on: isOn, version: Number(input.dataset.version) });
      } catch (error) {
        input.checked = !isOn;
        throw error;
      }
      await refresh("#quality", ".leaving");
      const words = isOn
        ? "It is on. Counting begins with your next recording; the first answer is drawn when this week is over."
        : "It is off. What was counted here is deleted, and nothing more leaves.";
      outcome("good", words, "#purpose-quality");
    },
  },
  complain,
);
