// Handwritten digits as strokes in a square of 1×1, in several styles per digit.

/** Points on an arc of an ellipse. Angles are clockwise quarter turns, from the right. */
function arc(x, y, rx, ry, from, to) {
  const steps = Math.ceil(Math.abs(to - from) * 8);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 2;
    return { x: x + rx * Math.cos(angle), y: y + ry * Math.sin(angle) };
  });
}

/** Points on the straight lines between corners. */
function line(...corners) {
  return corners.flatMap(([x, y], i) => {
    const [px, py] = corners[Math.max(i - 1, 0)];
    return Array.from({ length: i === 0 ? 1 : 8 }, (_, step) => {
      const part = (step + 1) / 8;
      return { x: i === 0 ? x : px + (x - px) * part, y: i === 0 ? y : py + (y - py) * part };
    });
  });
}

/** For each digit, drawings of it. */
export const DRAWINGS = [
  [[arc(0.5, 0.5, 0.26, 0.38, -1, 3)], [arc(0.5, 0.5, 0.33, 0.36, -0.7, 3.3)], [arc(0.5, 0.5, 0.2, 0.38, -1.2, -5)]],
  [
    [line([0.5, 0.12], [0.5, 0.88])],
    [line([0.36, 0.3], [0.54, 0.12], [0.54, 0.88])],
    [line([0.56, 0.12], [0.46, 0.88])],
    [line([0.34, 0.32], [0.52, 0.12], [0.52, 0.88]), line([0.36, 0.88], [0.68, 0.88])],
  ],
  [
    [[...arc(0.48, 0.33, 0.22, 0.21, -2.2, 0.4), ...line([0.64, 0.47], [0.26, 0.86], [0.76, 0.86])]],
    [[...arc(0.5, 0.3, 0.2, 0.18, -1.9, 0.6), ...line([0.6, 0.46], [0.3, 0.88]), ...line([0.3, 0.88], [0.74, 0.86])]],
    [
      [
        ...arc(0.46, 0.32, 0.24, 0.2, -2, 0.5),
        ...line([0.6, 0.5], [0.28, 0.8]),
        ...arc(0.36, 0.8, 0.08, 0.06, 2, 4.6),
        ...line([0.44, 0.8], [0.78, 0.88]),
      ],
    ],
  ],
  [
    [[...arc(0.46, 0.31, 0.22, 0.19, -2.1, 1), ...arc(0.46, 0.69, 0.25, 0.19, -1, 2.1)]],
    [[...arc(0.45, 0.3, 0.2, 0.18, -1.7, 0.9), ...arc(0.45, 0.67, 0.24, 0.21, -0.9, 1.8)]],
    [[...line([0.28, 0.14], [0.7, 0.14], [0.46, 0.42]), ...arc(0.46, 0.64, 0.25, 0.23, -1, 1.9)]],
  ],
  [
    [line([0.36, 0.14], [0.24, 0.58], [0.78, 0.58]), line([0.6, 0.34], [0.58, 0.88])],
    [line([0.32, 0.14], [0.28, 0.5], [0.7, 0.48]), line([0.68, 0.14], [0.64, 0.88])],
    [line([0.6, 0.88], [0.6, 0.12], [0.2, 0.62], [0.8, 0.62])],
    [line([0.52, 0.12], [0.24, 0.62], [0.76, 0.6]), line([0.6, 0.42], [0.56, 0.9])],
  ],
  [
    [[...line([0.7, 0.14], [0.36, 0.14], [0.33, 0.46]), ...arc(0.48, 0.65, 0.23, 0.22, -1.7, 1.9)]],
    [
      [...line([0.34, 0.14], [0.32, 0.48]), ...arc(0.46, 0.66, 0.24, 0.22, -1.6, 1.8)],
      line([0.34, 0.14], [0.74, 0.13]),
    ],
    [[...line([0.72, 0.15], [0.4, 0.13], [0.32, 0.45]), ...arc(0.46, 0.64, 0.24, 0.24, -1.5, 1.6)]],
  ],
  [
    [[...arc(0.66, 0.5, 0.36, 0.4, -1.2, -2.2), ...arc(0.5, 0.66, 0.2, 0.22, -2.1, 2.1)]],
    [[...line([0.6, 0.12], [0.36, 0.5]), ...arc(0.5, 0.67, 0.2, 0.21, -2.4, 2)]],
    [[...line([0.42, 0.12], [0.3, 0.62]), ...arc(0.5, 0.68, 0.2, 0.2, 2, -2)]],
  ],
  [
    [line([0.26, 0.14], [0.74, 0.14], [0.44, 0.88])],
    [line([0.26, 0.15], [0.74, 0.14], [0.44, 0.88]), line([0.36, 0.5], [0.72, 0.5])],
    [line([0.26, 0.28], [0.27, 0.15], [0.74, 0.14], [0.52, 0.5], [0.44, 0.88])],
  ],
  [
    [
      [...arc(0.5, 0.3, 0.18, 0.17, 0.6, -2.6), ...arc(0.5, 0.68, 0.22, 0.2, -1.4, 2.8)].concat(
        line([0.36, 0.54], [0.62, 0.43]),
      ),
    ],
    [arc(0.5, 0.3, 0.18, 0.18, 1, 5), arc(0.5, 0.68, 0.21, 0.2, -1, 3)],
    [
      line(
        [0.66, 0.22],
        [0.5, 0.13],
        [0.34, 0.24],
        [0.4, 0.4],
        [0.62, 0.58],
        [0.66, 0.74],
        [0.5, 0.87],
        [0.34, 0.74],
        [0.4, 0.58],
        [0.62, 0.4],
        [0.66, 0.22],
      ),
    ],
  ],
  [
    [[...arc(0.48, 0.33, 0.2, 0.2, 0, -4), ...line([0.68, 0.33], [0.62, 0.88])]],
    [
      [
        ...arc(0.48, 0.32, 0.19, 0.19, -0.5, -4.2),
        ...line([0.67, 0.3], [0.67, 0.66]),
        ...arc(0.48, 0.68, 0.19, 0.19, 0, 1.8),
      ],
    ],
    [[...arc(0.5, 0.32, 0.2, 0.2, -0.3, -4), ...line([0.7, 0.32], [0.56, 0.88])]],
  ],
];

/** Random numbers from 0 to 1, the same in each run. */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Drawings of each digit with variation: slanted, rotated, narrow, wide, and shaky. */
export function* drawnByManyHands(count, seed = 1) {
  const random = numbers(seed);
  const around = (middle, spread) => middle + (2 * random() - 1) * spread;
  for (let hand = 0; hand < count; hand++) {
    for (const [digit, drawings] of DRAWINGS.entries()) {
      for (const [manner, strokes] of drawings.entries()) {
        const [slant, turn, width, size] = [around(0, 0.2), around(0, 0.1), around(1, 0.2), around(0.75, 0.25)];
        const [dx, dy] = [around(0, 0.1), around(0, 0.1)];
        const waves = [around(0, 0.02), around(0, 0.02), around(0, 3), around(0, 3)];
        const place = ({ x, y }) => {
          const [u, v] = [(x - 0.5) * width + (0.5 - y) * slant, y - 0.5];
          const [a, b] = [u + waves[0] * Math.sin(9 * v + waves[2]), v + waves[1] * Math.sin(9 * u + waves[3])];
          return {
            x: 0.5 + dx + size * (a * Math.cos(turn) - b * Math.sin(turn)),
            y: 0.5 + dy + size * (a * Math.sin(turn) + b * Math.cos(turn)),
          };
        };
        yield { digit, manner, strokes: strokes.map((stroke) => stroke.map(place)) };
      }
    }
  }
}
