// How loud it was, as bars that wander to the left.

const BAR = 6; // canvas pixels, the space after it included

export function drawLevels(canvas) {
  const pen = canvas.getContext("2d");
  const most = Math.floor(canvas.width / BAR);
  let shares = [];

  function draw() {
    const { width, height } = canvas;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(canvas).color;
    shares.forEach((share, i) => {
      const tall = Math.max(4, share * share * height);
      pen.globalAlpha = 0.35 + 0.65 * (i / shares.length);
      pen.beginPath();
      pen.roundRect(width - (shares.length - i) * BAR, (height - tall) / 2, BAR - 2, tall, 2);
      pen.fill();
    });
  }

  return {
    /** One more, between 0 and 1. */
    push(share) {
      shares.push(share);
      if (shares.length > most) shares = shares.slice(-most);
      draw();
    },
    clear() {
      shares = [];
      draw();
    },
  };
}
