// One sound at a time: buttons with `data-play=ADDRESS` play, and stop what another one plays.

const sound = new Audio();
let playing = null;

function show(button, isPlaying) {
  button.querySelector("use").setAttribute("href", isPlaying ? "#i-stop" : "#i-play");
  button.setAttribute("aria-pressed", String(isPlaying));
}

function stop() {
  sound.pause();
  if (playing) show(playing, false);
  playing = null;
}

/** Play what the button names, or stop it. */
export async function toggle(button) {
  const isSame = playing === button;
  stop();
  if (isSame) return;
  playing = button;
  show(button, true);
  sound.src = button.dataset.play;
  try {
    await sound.play();
  } catch (error) {
    if (playing === button) stop();
    if (error.name !== "AbortError") throw new Error("This sound cannot be played.");
  }
}

export { stop };
sound.addEventListener("ended", stop);
