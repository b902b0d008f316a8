// A second reader of the vectors, that shares no line with our own code: Node 18 or later, no package.
//
//     node tests/conformance/other_language/check.mjs [FOLDER OF VECTORS]
//
// One line per topic: how many cases agree. Ends with 1 if one differs.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { Refused, topics as canonical } from "./canonical.mjs";
import { topics as numbers } from "./numbers.mjs";
import { topics as outside } from "./outside.mjs";
import { topics as signing } from "./signing.mjs";
import { topics as states } from "./states.mjs";
import { follows } from "./updates.mjs";

const TOPICS = { ...canonical, ...signing, ...numbers, ...outside, ...states };
const folder = process.argv[2] ?? fileURLToPath(new URL("../vectors", import.meta.url));

function outcome(run, input) {
  try {
    return run(structuredClone(input));
  } catch (error) {
    if (error instanceof Refused) return { refused: error.reason };
    throw error;
  }
}

let differing = 0;
for (const [topic, run] of Object.entries(TOPICS)) {
  const { cases } = JSON.parse(readFileSync(join(folder, `${topic}.json`), "utf8"));
  let same = 0;
  for (const { name, input, expected } of cases) {
    let found;
    try {
      found = outcome(run, input);
    } catch (error) {
      found = { error: String(error.stack) };
    }
    if (isDeepStrictEqual(found, expected)) same += 1;
    else {
      differing += 1;
      console.log(`${topic}: ${name}: expected ${JSON.stringify(expected).slice(0, 400)}`);
      console.log(`${topic}: ${name}: got ${JSON.stringify(found).slice(0, 400)}`);
    }
  }
  console.log(JSON.stringify({ topic, cases: cases.length, same }));
}
const updates = join(folder, "updates");
const pool = JSON.parse(readFileSync(join(updates, "pool.json"), "utf8"));
let [cases, same, words] = [0, 0, 0];
for (const attack of readdirSync(updates, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  for (const file of readdirSync(join(updates, attack.name))) {
    const vector = JSON.parse(readFileSync(join(updates, attack.name, file), "utf8"));
    const found = follows(vector, pool);
    cases += 1;
    words += found.isSameWord ? 1 : 0;
    if (found.isSame) same += 1;
    else {
      differing += 1;
      console.log(`updates/${attack.name}/${file}: expected ${JSON.stringify(vector.expected)}, got ${found.problem}`);
    }
  }
}
console.log(JSON.stringify({ topic: "updates", cases, same, same_word: words }));
process.exitCode = differing ? 1 : 0;
