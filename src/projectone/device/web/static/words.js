// The words of a recording, to be changed in place. One word is chosen; the keys are those of the help sheet.

import { spread } from "./align.js";
import { h } from "./dom.js";

export class WordEditor {
  /**
   * `box` holds the list of words and the field for the one that is changed. `on` hears about it:
   * change(texts), hear(token), play(), playFrom(seconds), save(), help(), say(text).
   */
  constructor(box, tokens, on) {
    this.box = box;
    this.list = box.querySelector("[role=listbox]");
    this.input = box.querySelector("input");
    this.on = on;
    this.tokens = tokens;
    this.past = [];
    this.future = [];
    this.chosen = 0;
    this.isEditing = false;
    this.list.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("click", (event) => this.onClick(event));
    this.list.addEventListener("dblclick", (event) => event.target.closest(".word") && this.edit());
    this.list.addEventListener("focusin", (event) => this.onFocus(event));
    this.input.addEventListener("keydown", (event) => this.onEditKey(event));
    this.input.addEventListener("input", () => this.onInput());
    this.input.addEventListener("blur", () => this.commit());
    this.draw();
  }

  /** With what the field holds, too. */
  get texts() {
    return (this.isEditing ? this.written() : this.tokens).map((token) => token.text);
  }

  get doubtful() {
    return this.tokens.flatMap((token, i) => (token.isDoubtful ? [i] : []));
  }

  option(i = this.chosen) {
    return this.list.children[i];
  }

  draw() {
    const options = this.tokens.map((token, i) => {
      const kinds = [token.isDoubtful && "is-doubtful", token.isNew && "is-changed"].filter(Boolean);
      const sure = Math.round((token.probability ?? 1) * 100);
      return h(
        "span",
        {
          class: ["word", ...kinds].join(" "),
          role: "option",
          tabindex: i === this.chosen ? 0 : -1,
          "aria-selected": String(i === this.chosen),
          "aria-label": token.isDoubtful ? `${token.text}, the model was not sure` : undefined,
          title: token.isDoubtful ? `The model was not sure of this word (${sure} %)` : undefined,
        },
        token.text || "\u200b",
      );
    });
    this.list.replaceChildren(...options.flatMap((option) => [option, " "]));
    this.list.toggleAttribute("data-empty", !this.tokens.length);
    if (!this.tokens.length) this.list.append(h("span", { class: "word", role: "option", tabindex: 0, "aria-selected": "true", "aria-label": "No words. Type to write some." }, "\u200b"));
  }

  choose(i, { isFocused = true } = {}) {
    this.option()?.setAttribute("aria-selected", "false");
    this.option()?.setAttribute("tabindex", "-1");
    this.chosen = Math.max(0, Math.min(i, this.tokens.length - 1));
    const option = this.option();
    option.setAttribute("aria-selected", "true");
    option.setAttribute("tabindex", "0");
    if (isFocused) option.focus();
  }

  /** Change the words in one step that can be undone. */
  change(from, count, ...tokens) {
    this.past.push({ tokens: this.tokens, chosen: this.chosen });
    this.future = [];
    this.set(this.tokens.toSpliced(from, count, ...tokens));
  }

  set(tokens) {
    this.tokens = tokens;
    this.chosen = Math.max(0, Math.min(this.chosen, tokens.length - 1));
    this.draw();
    this.on.change();
  }

  undo() {
    this.travel(this.past, this.future, "Undone");
  }

  redo() {
    this.travel(this.future, this.past, "Done again");
  }

  travel(from, to, words) {
    const then = from.pop();
    if (!then) return this.on.say("Nothing more");
    to.push({ tokens: this.tokens, chosen: this.chosen });
    this.chosen = then.chosen;
    this.set(then.tokens);
    this.choose(this.chosen);
    this.on.say(words);
  }

  remove(next = this.chosen) {
    const token = this.tokens[this.chosen];
    if (!token) return;
    this.change(this.chosen, 1);
    this.choose(next);
    this.on.say(`${token.text} taken out`);
  }

  /** The next word that the model was not sure of, `step` -1 for the one before; false if there is none. */
  toDoubt(step = 1) {
    const found = step > 0 ? this.doubtful.find((i) => i > this.chosen) : this.doubtful.findLast((i) => i < this.chosen);
    if (found === undefined) return false;
    this.choose(found);
    return true;
  }

  onFocus(event) {
    const i = [...this.list.children].indexOf(event.target);
    if (i >= 0 && i !== this.chosen) this.choose(i, { isFocused: false });
  }

  onClick(event) {
    const option = event.target.closest(".word");
    if (!option) return;
    this.choose([...this.list.children].indexOf(option));
    if (this.tokens.length) this.on.hear(this.tokens[this.chosen]);
  }

  onKey(event) {
    const act = this.actOf(event);
    if (!act || act() === false) return;
    event.preventDefault();
  }

  actOf(event) {
    const { key, altKey, shiftKey } = event;
    const isCommand = event.ctrlKey || event.metaKey;
    const token = this.tokens[this.chosen];
    if (isCommand) {
      if (key === "Enter") return () => this.on.save();
      if (key.toLowerCase() === "z") return () => (shiftKey ? this.redo() : this.undo());
      return key.toLowerCase() === "y" ? () => this.redo() : null;
    }
    if (altKey) {
      const acts = {
        ArrowDown: () => this.on.hear(token),
        ArrowLeft: () => this.on.playFrom(Math.max(0, token.start - 2)),
        ArrowRight: () => this.on.playFrom(token.start),
      };
      return token ? acts[key] : null;
    }
    const acts = {
      ArrowLeft: () => this.choose(this.chosen - 1),
      ArrowRight: () => this.choose(this.chosen + 1),
      ArrowUp: () => this.choose(this.beside(-1)),
      ArrowDown: () => this.choose(this.beside(1)),
      Home: () => this.choose(0),
      End: () => this.choose(this.tokens.length - 1),
      Tab: () => this.toDoubt(shiftKey ? -1 : 1),
      Delete: () => this.remove(),
      Backspace: () => this.remove(this.chosen - 1),
      Enter: () => this.edit(),
      F2: () => this.edit(),
      " ": () => this.on.play(),
      "?": () => this.on.help(),
    };
    return acts[key] ?? (key.length === 1 ? () => this.edit(key) : null);
  }

  /** The word above or below the chosen one. */
  beside(step) {
    const here = this.option().getBoundingClientRect();
    const middle = here.left + here.width / 2;
    const rows = [...this.list.children].map((option) => option.getBoundingClientRect());
    const next = (step > 0 ? rows.find((row) => row.top > here.bottom - 4) : rows.findLast((row) => row.bottom < here.top + 4))?.top;
    if (next === undefined) return this.chosen;
    const distance = (row) => (Math.abs(row.top - next) < 4 ? Math.abs(row.left + row.width / 2 - middle) : Infinity);
    return rows.reduce((best, row, i) => (distance(row) < distance(rows[best]) ? i : best), this.chosen);
  }

  // Changing one word: the field lies over it, and the word below grows with what is typed.

  edit(typed) {
    if (!this.tokens.length) this.tokens = [{ text: "", start: 0, end: 0, isNew: true }];
    this.isEditing = true;
    this.before = this.tokens;
    this.input.value = typed ?? this.tokens[this.chosen].text;
    this.input.hidden = false;
    this.onInput();
    this.input.focus();
    if (typed === undefined) this.input.select();
    else this.input.setSelectionRange(typed.length, typed.length);
  }

  lay() {
    const option = this.option();
    Object.assign(this.input.style, {
      left: `${option.offsetLeft}px`,
      top: `${option.offsetTop}px`,
      width: `${option.offsetWidth + 6}px`,
      height: `${option.offsetHeight}px`,
    });
  }

  onInput() {
    const { value } = this.input;
    const gap = value.search(/\s/u);
    if (gap >= 0) return this.split(value.slice(0, gap), value.slice(gap).trim());
    this.option().textContent = value || "\u200b";
    this.lay();
  }

  /** A blank: what stood before it is done, and the rest is a word of its own. */
  split(left, right) {
    const token = this.tokens[this.chosen];
    const parts = left ? spread([left, right || "…"], token.start, token.end) : [{ ...token, text: right }];
    if (left && !right) parts[1].text = "";
    this.tokens = this.tokens.toSpliced(this.chosen, 1, ...parts);
    this.chosen += left ? 1 : 0;
    this.draw();
    this.input.value = right;
    this.option().textContent = right || "\u200b";
    this.input.setSelectionRange(0, 0);
    this.lay();
  }

  join(step) {
    const other = this.chosen + step;
    if (other < 0 || other >= this.tokens.length) return;
    const [one, two] = step < 0 ? [other, this.chosen] : [this.chosen, other];
    const [left, right] = [one, two].map((i) => (i === this.chosen ? this.input.value : this.tokens[i].text));
    const { start } = this.tokens[one];
    const { end } = this.tokens[two];
    this.tokens = this.tokens.toSpliced(one, 2, { text: left + right, start, end, isNew: true });
    this.chosen = one;
    this.draw();
    this.input.value = left + right;
    this.option().textContent = left + right;
    this.input.setSelectionRange(left.length, left.length);
    this.lay();
  }

  onEditKey(event) {
    const { key } = event;
    if (event.isComposing) return;
    const { selectionStart, selectionEnd, value } = this.input;
    const isAtStart = selectionStart === 0 && selectionEnd === 0;
    const isAtEnd = selectionStart === value.length && selectionEnd === value.length;
    let act;
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) act = () => (this.commit(), this.choose(this.chosen), this.on.save());
    else if (key === "Enter") act = () => (this.commit(), this.choose(this.chosen));
    else if (key === "Escape") act = () => this.cancel();
    else if (key === "Tab") act = () => (this.commit(), this.toDoubt(event.shiftKey ? -1 : 1) || this.choose(this.chosen + (event.shiftKey ? -1 : 1)));
    else if (key === "ArrowLeft" && isAtStart) act = () => (this.commit(), this.choose(this.chosen - 1));
    else if (key === "ArrowRight" && isAtEnd) act = () => (this.commit(), this.choose(this.chosen + 1));
    else if (key === "Backspace" && isAtStart) act = () => this.join(-1);
    else if (key === "Delete" && isAtEnd) act = () => this.join(1);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** The words with what the field holds; an empty word is none. */
  written() {
    const text = this.input.value.trim();
    const token = this.tokens[this.chosen];
    const now = text === token.text ? this.tokens : this.tokens.toSpliced(this.chosen, 1, { ...token, text, isDoubtful: false, isNew: true });
    return now.filter((item) => item.text);
  }

  /** Keep what the field holds. */
  commit() {
    if (!this.isEditing) return;
    this.isEditing = false;
    this.input.hidden = true;
    const after = this.written();
    const isSame = after.length === this.before.length && after.every((item, i) => item.text === this.before[i].text);
    this.tokens = this.before;
    if (isSame) return this.set(this.before);
    this.change(0, this.before.length, ...after);
  }

  cancel() {
    this.isEditing = false;
    this.input.hidden = true;
    this.set(this.before);
    this.choose(this.chosen);
  }
}
