// Words laid beside words: which stayed, which are new, and when they were said.

const plain = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}']+/gu, "") || word;

/** Pairs [i, j] of words that are the same in both, in order; as many as there can be. */
export function matches(before, after) {
  const a = before.map(plain);
  const b = after.map(plain);
  let first = 0;
  while (first < a.length && first < b.length && a[first] === b[first]) first += 1;
  let last = 0;
  while (last < a.length - first && last < b.length - first && a.at(-1 - last) === b.at(-1 - last)) last += 1;
  const n = a.length - first - last;
  const m = b.length - first - last;
  // longest[i][j]: of what comes from i and j on.
  const longest = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i -= 1)
    for (let j = m - 1; j >= 0; j -= 1)
      longest[i][j] = a[first + i] === b[first + j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const pairs = Array.from({ length: first }, (_, i) => [i, i]);
  for (let i = 0, j = 0; i < n && j < m; ) {
    if (a[first + i] === b[first + j]) pairs.push([first + i++, first + j++]);
    else if (longest[i + 1][j] >= longest[i][j + 1]) i += 1;
    else j += 1;
  }
  for (let i = last; i > 0; i -= 1) pairs.push([a.length - i, b.length - i]);
  return pairs;
}

/** Tokens for `texts`, with the times of the heard words they stand for; new ones share the time of those they replace. */
export function place(heard, texts) {
  const pairs = matches(heard.map((word) => word.text), texts);
  const tokens = [];
  let i = 0;
  for (const [from, to] of [...pairs, [heard.length, texts.length]]) {
    const gap = heard.slice(i, from);
    const before = tokens.at(-1)?.end ?? 0;
    const start = gap[0]?.start ?? before;
    const end = gap.at(-1)?.end ?? heard[from]?.start ?? before;
    tokens.push(...spread(texts.slice(tokens.length, to), start, end));
    if (to < texts.length) {
      const same = texts[to] === heard[from].text;
      tokens.push(same ? heard[from] : { ...heard[from], text: texts[to], isDoubtful: false });
    }
    i = from + 1;
  }
  return tokens;
}

/** New words over a stretch of time, the longer ones longer. */
export function spread(texts, start, end) {
  const whole = texts.reduce((sum, text) => sum + text.length + 1, 0);
  let at = start;
  return texts.map((text) => {
    const from = at;
    at += ((end - start) * (text.length + 1)) / whole;
    return { text, start: from, end: at, isDoubtful: false, isNew: true };
  });
}

/** Runs of words that are the same, gone or new: [["same", "we went"], ["gone", "hone"], ["new", "home"]]. */
export function diff(before, after) {
  const runs = [];
  const push = (kind, words) => words.length && runs.push([kind, words.join(" ")]);
  let i = 0;
  let j = 0;
  let same = [];
  for (const [from, to] of [...matches(before, after), [before.length, after.length]]) {
    if (from > i || to > j) {
      push("same", same);
      same = [];
      push("gone", before.slice(i, from));
      push("new", after.slice(j, to));
    }
    if (to < after.length) same.push(after[to]);
    i = from + 1;
    j = to + 1;
  }
  push("same", same);
  return runs;
}
