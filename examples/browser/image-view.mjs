/** Shows an image of 8×8 pixels, with ink from 0 to 16, on a canvas of that size. */
export function showImage(canvas, image) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, 8, 8);
  image.forEach((ink, i) => {
    context.globalAlpha = ink / 16;
    context.fillRect(i % 8, Math.floor(i / 8), 1, 1);
  });
}
