// The sound as bars; what was played is in the accent's colour, words in doubt have a mark below.

export class Waveform {
  constructor(canvas, peaks) {
    this.canvas = canvas;
    this.peaks = peaks;
    this.share = 0;
    this.marks = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Played so far, 0 to 1. */
  at(share) {
    this.share = share;
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const scale = devicePixelRatio;
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const count = Math.max(1, Math.floor(width / 4));
    const room = height - 8;
    for (let i = 0; i < count; i += 1) {
      const from = Math.floor((i * this.peaks.length) / count);
      const to = Math.max(from + 1, Math.floor(((i + 1) * this.peaks.length) / count));
      const tall = Math.max(2, (Math.max(...this.peaks.slice(from, to)) / 100) * room);
      pen.fillStyle = style.color;
      pen.globalAlpha = (i + 0.5) / count <= this.share ? 1 : 0.35;
      pen.beginPath();
      pen.roundRect((i * width) / count, (room - tall) / 2, 2.5, tall, 1.25);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.fillStyle = style.outlineColor;
    for (const [start, end] of this.marks) pen.fillRect(start * width, height - 3, Math.max(4, (end - start) * width), 3);
  }
}
