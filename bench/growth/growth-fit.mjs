// The exponent of a cost: the slope of a line through its points on two logarithmic scales. 1 means linear growth.

/** Maximum exponent. It is above 1 because of measurement noise. */
export const MOST = 1.1;

/** Returns the exponents of all points and of their upper half, which shows the trend. */
export function exponents(points) {
  return { all: slope(points), upper: slope(points.slice(Math.floor((points.length - 1) / 2))) };
}

/** Least squares. Points at or below zero have no logarithm: that memory is lost in noise. */
function slope(points) {
  const logs = points.filter(({ x, y }) => x > 0 && y > 0).map(({ x, y }) => [Math.log(x), Math.log(y)]);
  if (logs.length < 2) throw new Error("a slope needs two points");
  const mean = (at) => logs.reduce((sum, log) => sum + log[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const over = logs.reduce((sum, log) => sum + (log[0] - x) * (log[1] - y), 0);
  return over / logs.reduce((sum, log) => sum + (log[0] - x) ** 2, 0);
}

/** Describes an exponent. */
export function inWords(exponent) {
  if (exponent < 0.1) return "does not grow";
  if (exponent < 0.9) return "grows slower than linearly";
  if (exponent <= MOST) return "grows linearly";
  return "grows **faster than linearly**";
}
