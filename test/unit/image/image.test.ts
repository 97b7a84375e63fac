import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type ImageOptions, imageToTensor, type Pixels, pixelsToTensor } from "../../../src/image/index.js";
import { BladeRequest, CaffeRequest, OnnxRequest, TFRequest, TorchRequest, toFloat16 } from "../../../src/index.js";
import { errorOf, thrownBy } from "../../support/calls.js";

/** Images of up to 12 x 12 pixels with any number of channels. */
const images: fc.Arbitrary<Required<Pixels>> = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), fc.constantFrom(1, 3, 4))
  .chain(([width, height, channels]) => {
    const length = width * height * channels;
    const bytes = fc.uint8Array({ minLength: length, maxLength: length });
    return bytes.map((data) => ({ data, width, height, channels }));
  });
const sides = fc.integer({ min: 1, max: 30 });
const BYTES = { dtype: "DT_UINT8" } as const;
const GRADIENT: Pixels = { data: Uint8Array.from({ length: 8 * 6 * 3 }, (_, i) => i), width: 8, height: 6 };
const plain = (values: ArrayLike<number>) => Array.from(values);

describe("values", () => {
  test("of every dtype", () => {
    const image = { data: Uint8Array.of(0, 51, 255), width: 1, height: 1 };
    expect(pixelsToTensor(image)).toEqual({
      dtype: "DT_FLOAT",
      shape: [1, 3, 1, 1],
      data: Float32Array.of(0, 0.2, 1),
    });
    expect(pixelsToTensor(image, { dtype: "DT_DOUBLE" }).data).toEqual(Float64Array.of(0, 51 / 255, 1));
    expect(pixelsToTensor(image, { dtype: "DT_HALF" }).data).toEqual(Float32Array.of(0, 0.199951171875, 1));
    expect(pixelsToTensor(image, BYTES)).toEqual({
      dtype: "DT_UINT8",
      shape: [1, 3, 1, 1],
      data: Uint8Array.of(0, 51, 255),
    });
  });

  test("scale, then mean, then std, by channel or for all", () => {
    const image = { data: Uint8Array.of(10, 20, 30), width: 1, height: 1 };
    const values = (options: ImageOptions) => plain(pixelsToTensor(image, options).data);
    expect(values({ scale: 1, mean: [1, 2, 3], std: [2, 4, 8] })).toEqual([4.5, 4.5, 3.375]);
    expect(values({ scale: 2, mean: 5, std: -5 })).toEqual([-3, -7, -11]);
    // For Caffe, the order is that of the tensor's channels.
    expect(values({ color: "BGR", scale: 1, mean: [30, 0, 1] })).toEqual([0, 20, 9]);
    expect(values({ color: "GRAY", scale: 1, mean: [18] })).toEqual([0]);
  });

  test("equal torchvision's ToTensor and Normalize, to the precision of a 32-bit float", () => {
    const [mean, std] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ];
    const { data } = pixelsToTensor(GRADIENT, { mean, std, layout: "NHWC" });
    for (const [i, value] of GRADIENT.data.entries()) {
      const step = Math.fround(Math.fround(value / 255) - Math.fround(mean[i % 3]!));
      expect(data[i]).toBeCloseTo(Math.fround(step / Math.fround(std[i % 3]!)), 5);
    }
  });

  test("gray pixels have three equal channels unless color is GRAY", () => {
    const image = { data: Uint8Array.of(7, 9), width: 2, height: 1 };
    expect(plain(pixelsToTensor(image, BYTES).data)).toEqual([7, 9, 7, 9, 7, 9]);
    expect(pixelsToTensor(image, { ...BYTES, color: "GRAY" })).toMatchObject({ shape: [1, 1, 1, 2] });
  });

  test("alpha is dropped, or shows the background", () => {
    const image = { data: Uint8Array.of(200, 100, 0, 0, 200, 100, 0, 51), width: 2, height: 1 };
    const values = (options: ImageOptions<"DT_UINT8">) =>
      plain(pixelsToTensor(image, { layout: "NHWC", ...options, ...BYTES }).data);
    expect(values({ dtype: "DT_UINT8" })).toEqual([200, 100, 0, 200, 100, 0]);
    expect(values({ background: [0, 255, 10] })).toEqual([0, 255, 10, 40, 224, 8]);
    expect(values({ background: [255, 255, 255], color: "GRAY" })[0]).toBe(255);
  });

  test("every request accepts the tensors", () => {
    const float = pixelsToTensor(GRADIENT);
    new TFRequest()
      .addFeed("x", float)
      .addFeed("y", pixelsToTensor(GRADIENT, { dtype: "DT_HALF" }))
      .toBinary();
    new TorchRequest().addFeed(0, float).addFeed(1, pixelsToTensor(GRADIENT, BYTES)).toBinary();
    new BladeRequest().addFeed("x", 1, float).toBinary();
    new CaffeRequest().addFeed("x", float).toBinary();
    const half = pixelsToTensor(GRADIENT, { dtype: "DT_HALF" });
    new OnnxRequest().addTensor("x", float).addTensor("y", half.shape, "DT_HALF", toFloat16(half.data)).toBinary();
  });
});

describe("shapes", () => {
  test("of one image and of several, in both layouts", () => {
    const shape = (images: Pixels | Pixels[], options: ImageOptions = {}) => pixelsToTensor(images, options).shape;
    expect(shape(GRADIENT)).toEqual([1, 3, 6, 8]);
    expect(shape([GRADIENT, GRADIENT], { layout: "NHWC" })).toEqual([2, 6, 8, 3]);
    expect(shape([GRADIENT], { size: [4, 5] })).toEqual([1, 3, 4, 5]);
    expect(shape([GRADIENT], { size: 7, color: "GRAY", layout: "NHWC" })).toEqual([1, 7, 7, 1]);
  });

  test("a batch consists of its images in order", () => {
    fc.assert(
      fc.property(fc.array(images, { minLength: 1, maxLength: 4 }), sides, sides, (list, height, width) => {
        const options = { size: [height, width] as const, ...BYTES };
        const one = list.flatMap((image) => plain(pixelsToTensor(image, options).data));
        expect(plain(pixelsToTensor(list, options).data)).toEqual(one);
      }),
    );
  });

  test("NCHW and NHWC have the same values, and so do RGB and BGR", () => {
    fc.assert(
      fc.property(images, sides, sides, (image, height, width) => {
        const options = { size: [height, width] as const, ...BYTES };
        const planes = pixelsToTensor(image, options).data;
        const pixels = pixelsToTensor(image, { ...options, layout: "NHWC" }).data;
        const turned = pixelsToTensor(image, { ...options, layout: "NHWC", color: "BGR" }).data;
        const plane = height * width;
        for (let i = 0; i < plane; i++) {
          for (let channel = 0; channel < 3; channel++) {
            expect(pixels[i * 3 + channel]).toBe(planes[channel * plane + i]);
            expect(turned[i * 3 + 2 - channel]).toBe(planes[channel * plane + i]);
          }
        }
      }),
    );
  });
});

describe("resizing", () => {
  test("to the same size changes nothing, with any fit", () => {
    fc.assert(
      fc.property(images, fc.constantFrom("fill", "cover", "contain"), (image, fit) => {
        const { width, height } = image;
        const options = { layout: "NHWC", ...BYTES } as const;
        const made = pixelsToTensor(image, { ...options, size: [height, width], fit: fit as "fill" });
        expect(made).toEqual(pixelsToTensor(image, options));
        if (image.channels === 3) expect(plain(made.data)).toEqual(plain(image.data));
      }),
    );
  });

  test("a plain color does not change", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3, maxLength: 3 }), sides, sides, sides, sides, (color, w, h, W, H) => {
        const data = Uint8Array.from({ length: w * h * 3 }, (_, i) => color[i % 3]!);
        for (const fit of ["fill", "cover"] as const) {
          const made = pixelsToTensor(
            { data, width: w, height: h },
            { size: [H, W], fit, layout: "NHWC", dtype: "DT_UINT8" },
          );
          expect(made.data.every((value, i) => value === color[i % 3])).toBe(true);
        }
      }),
    );
  });

  test("results stay between the minimum and the maximum value, also from very many pixels to one", () => {
    fc.assert(
      fc.property(images, sides, sides, (image, height, width) => {
        const { data } = pixelsToTensor(image, { size: [height, width], color: "GRAY", dtype: "DT_UINT8" });
        const own = pixelsToTensor(image, { color: "GRAY", dtype: "DT_UINT8" }).data;
        expect(Math.min(...data)).toBeGreaterThanOrEqual(Math.min(...own));
        expect(Math.max(...data)).toBeLessThanOrEqual(Math.max(...own));
      }),
    );
    const white = { data: new Uint8Array(60_000).fill(255), width: 60_000, height: 1 };
    expect(plain(pixelsToTensor(white, { size: 1, dtype: "DT_UINT8", color: "GRAY" }).data)).toEqual([255]);
  });

  test("halving keeps the average of all pixels", () => {
    const data = Uint8Array.from({ length: 64 * 64 }, (_, i) => (i * 7919) % 251);
    const half = pixelsToTensor({ data, width: 64, height: 64 }, { size: 32, color: "GRAY", scale: 1 }).data;
    const mean = (values: ArrayLike<number>) => plain(values).reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean(half) - mean(data))).toBeLessThan(1);
  });

  test("cover keeps the center, and contain centers the whole image on the background", () => {
    // Columns 0 to 5 of two rows.
    const image = { data: Uint8Array.of(0, 10, 20, 30, 40, 50, 0, 10, 20, 30, 40, 50), width: 6, height: 2 };
    const grey = { color: "GRAY", dtype: "DT_UINT8" } as const;
    expect(plain(pixelsToTensor(image, { ...grey, size: 2, fit: "cover" }).data)).toEqual([20, 30, 20, 30]);
    const contained = { ...grey, size: [5, 6], fit: "contain" } as const;
    expect(plain(pixelsToTensor(image, contained).data)).toEqual([
      ...new Array(6).fill(0),
      ...plain(image.data),
      ...new Array(12).fill(0),
    ]);
    const padded = plain(pixelsToTensor(image, { ...contained, background: [114, 114, 114] }).data);
    expect(padded.slice(0, 6)).toEqual(new Array(6).fill(114));
    const thin = { data: new Uint8Array(300).fill(9), width: 300, height: 1 };
    expect(plain(pixelsToTensor(thin, { ...grey, size: 3, fit: "contain" }).data)).toEqual([0, 0, 0, 9, 9, 9, 0, 0, 0]);
  });

  test("cover of an image that is very much longer than wide", () => {
    const image = { data: new Uint8Array(60_000), width: 1, height: 60_000 };
    image.data.fill(200, 29_000, 31_000);
    const { data } = pixelsToTensor(image, { size: [1, 65_535], fit: "cover", color: "GRAY", dtype: "DT_UINT8" });
    expect(new Set(data)).toEqual(new Set([200]));
  });

  test("any aspect ratio to any other", () => {
    fc.assert(
      fc.property(images, sides, sides, fc.constantFrom("fill", "cover", "contain"), (image, height, width, fit) => {
        const made = pixelsToTensor(image, { size: [height, width], fit: fit as "fill" });
        expect(made.data).toHaveLength(3 * height * width);
        expect(made.data.every((value) => value >= 0 && value <= 1)).toBe(true);
      }),
    );
  });
});

describe("the caller's memory", () => {
  test("is not changed or kept", () => {
    const data = new Uint8ClampedArray([1, 2, 3, 4, 5, 6]);
    const made = pixelsToTensor({ data, width: 2, height: 1 }, { layout: "NHWC", dtype: "DT_UINT8" });
    data.fill(0);
    expect(plain(made.data)).toEqual([1, 2, 3, 4, 5, 6]);
    made.data.fill(9);
    expect(plain(data)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("can be a view of a larger buffer, or shared", () => {
    const image = { data: Uint8Array.of(9, 9, 1, 2, 3).subarray(2), width: 1, height: 1 };
    expect(plain(pixelsToTensor(image, BYTES).data)).toEqual([1, 2, 3]);
    const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(8);
    expect(plain(pixelsToTensor({ data: shared, width: 1, height: 1 }, BYTES).data)).toEqual([8, 8, 8]);
    expect(plain(pixelsToTensor({ data: Buffer.of(1, 2, 3), width: 1, height: 1 }, BYTES).data)).toEqual([1, 2, 3]);
  });
});

describe("invalid arguments", () => {
  const pixel = { data: new Uint8Array(3), width: 1, height: 1 };

  test.each<[string, unknown, RegExp]>([
    ["too few bytes", { ...pixel, width: 2 }, /image 0: 3 bytes for 2 x 1 pixels: there must be 1/],
    ["two channels", { data: new Uint8Array(2), width: 1, height: 1 }, /2 bytes for 1 x 1/],
    ["channels that do not fit", { ...pixel, channels: 4 }, /3 bytes for 1 x 1 pixels of 4 channels/],
    ["channels that are no number", { ...pixel, channels: "3" }, /of "3" channels/],
    ["no width", { data: new Uint8Array(3), height: 1 }, /width is undefined/],
    ["a height of 0", { ...pixel, height: 0 }, /height is 0: it must be an integer above 0/],
    ["a fractional width", { ...pixel, width: 1.5 }, /width is 1.5/],
    ["numbers", { ...pixel, data: [1, 2, 3] }, /data is an array: it must be a Uint8Array/],
    ["floats", { ...pixel, data: new Float32Array(3) }, /data is an instance of Float32Array/],
    [
      "another colour space",
      { ...pixel, colorSpace: "display-p3" },
      /colorSpace is "display-p3": get it with getImageData/,
    ],
    ["null", null, /image 0 is null: it must be (decoded pixels )?\{ data, width, height \}/],
    ["encoded bytes", new Uint8Array(100), /image 0 is an instance of Uint8Array/],
    ["a path", "cat.jpg", /image 0 is "cat.jpg"/],
    ["no image", [], /the list of images is empty: pass at least one/],
    ["a hole", [pixel, undefined], /image 1 is undefined/],
    ["different sizes without one", [pixel, GRADIENT], /image 1 is 8 x 6 and image 0 is 1 x 1: set the option size/],
  ])("of images: %s", async (_, image, message) => {
    for (const error of [
      thrownBy(() => pixelsToTensor(image as Pixels)),
      await errorOf(imageToTensor(image as Pixels)),
    ]) {
      expect(error.message).toMatch(message);
      expect(error.code).toMatch(/^ERR_EAS_ARG_/);
    }
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [{ size: 0 }, /size is 0: it must be an integer number of pixels from 1 to 65535/],
    [{ size: 2.5 }, /size is 2.5/],
    [{ size: "224" }, /size is "224"/],
    [{ size: [224] }, /it must be \[height, width\]/],
    [{ size: [1, 2, 3] }, /it must be \[height, width\]/],
    [{ size: [1, Number.NaN] }, /size is NaN/],
    [{ size: null }, /size is null/],
    [{ size: 70_000 }, /size is 70000/],
    [{ fit: "crop", size: 1 }, /fit is "crop": it must be one of fill, cover, contain/],
    [{ fit: "cover" }, /fit "cover" needs the option size/],
    [{ size: 1, shorterSide: 2 }, /shorterSide works only with fit: "cover"/],
    [{ size: 9, shorterSide: 0, fit: "cover" }, /shorterSide is 0/],
    [{ size: 9, shorterSide: 8, fit: "cover" }, /image 0: shorterSide 8 gives 10 x 8 pixels, less than the size 9 x 9/],
    [{ layout: "CHW" }, /layout is "CHW"/],
    [{ color: "rgb" }, /color is "rgb": it must be one of RGB, BGR, GRAY/],
    [{ dtype: "DT_INT8" }, /dtype is "DT_INT8"/],
    [{ dtype: "toString" }, /dtype is "toString"/],
    [{ background: [1, 2] }, /background is .*: it must be \[red, green, blue\]/],
    [{ background: [1, 2, 256] }, /background is \[1, 2, 256\]/],
    [{ background: "white" }, /background is "white"/],
    [{ mean: [1, 2] }, /mean is \[1, 2\]: it must be a finite number, or 3 of them, one for each channel/],
    [{ mean: [1, 2, 3], color: "GRAY" }, /mean is \[1, 2, 3\]: it must be a finite number/],
    [{ mean: [1, 2, Number.NaN] }, /mean is \[1, 2, NaN\]/],
    [{ mean: "0.5" }, /mean is "0.5"/],
    [{ std: 0 }, /std is 0: it must not be 0/],
    [{ std: [1, 0, 1] }, /std is \[1, 0, 1\]: it must not be 0/],
    [{ scale: Number.POSITIVE_INFINITY }, /scale is Infinity/],
    [{ scale: 1e300 }, /values outside the range of DT_FLOAT/],
    [{ scale: 1000, dtype: "DT_HALF" }, /values outside the range of DT_HALF/],
    [{ dtype: "DT_UINT8", mean: 1 }, /mean does not apply to DT_UINT8/],
    [{ dtype: "DT_UINT8", std: 1 }, /leave out std/],
    [{ dtype: "DT_UINT8", scale: 1 }, /leave out scale/],
  ])("of options: %o", async (options, message) => {
    const error = thrownBy(() => pixelsToTensor(GRADIENT, options as ImageOptions));
    expect(error.message).toMatch(message);
    expect(error.code).toBe("ERR_EAS_ARG_OPTION");
    expect((await errorOf(imageToTensor(GRADIENT, options as ImageOptions))).message).toMatch(message);
  });

  test("a tensor that is too large for memory", () => {
    const refuse = () => pixelsToTensor(new Array(4).fill(GRADIENT), { size: 65_535, dtype: "DT_UINT8" });
    const error = thrownBy(refuse);
    expect(error.message).toMatch(/4 x 3 x 65535 x 65535 values/);
    expect(error.code).toBe("ERR_EAS_ARG_SHAPE");
  });

  test("options that are not an object", () => {
    expect(thrownBy(() => pixelsToTensor(GRADIENT, 224 as never)).message).toMatch(/accepts options such as/);
  });
});

describe("images that only browsers decode", () => {
  /** A fake browser: the bytes of an image are its name. */
  class Canvas {
    static made: string[] = [];
    readonly name: string;
    constructor(
      readonly width: number,
      readonly height: number,
    ) {
      this.name = `${width} x ${height}`;
      Canvas.made.push(this.name);
    }
    getContext() {
      let top = 0;
      return {
        clearRect() {},
        drawImage(bitmap: { tainted?: boolean }, _left: number, y: number) {
          top = -y;
          if (bitmap.tainted) this.getImageData = () => fail("SecurityError", "tainted");
        },
        /** Every row has its own number. */
        getImageData(_x: number, _y: number, width: number, height: number) {
          return {
            data: Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) => top + ((i / (width * 4)) | 0)),
          };
        },
      };
    }
  }

  const fail = (name: string, message: string): never => {
    throw Object.assign(new Error(message), { name });
  };

  function inBrowser(bitmap: () => object): { closed: number } {
    const seen = { closed: 0 };
    Canvas.made = [];
    vi.stubGlobal("OffscreenCanvas", Canvas);
    vi.stubGlobal("createImageBitmap", async () => ({ ...bitmap(), close: () => seen.closed++ }));
    return seen;
  }

  afterEach(() => void vi.unstubAllGlobals());
  const grey = { color: "GRAY", dtype: "DT_UINT8" } as const;
  const blob = new Blob(["x"], { type: "image/png" }) as never;

  test("rejects a Blob with an explanation on other runtimes", async () => {
    const error = await errorOf(imageToTensor(blob));
    expect([error.name, error.code]).toEqual(["EasUnsupportedError", "ERR_EAS_UNSUPPORTED"]);
    expect(error.message).toMatch(
      /image 0 is a Blob, which only browsers can decode .*sharp.*\{ data, width, height \}/,
    );
    vi.stubGlobal("createImageBitmap", async () => ({}));
    expect((await errorOf(imageToTensor(blob))).name).toBe("EasUnsupportedError");
    // Deno has an OffscreenCanvas without a context.
    vi.stubGlobal(
      "OffscreenCanvas",
      class {
        getContext = () => null;
      },
    );
    expect((await errorOf(imageToTensor([GRADIENT, blob]))).message).toMatch(/image 1 is a Blob, which only browsers/);
  });

  test("reads a large image in bands, in order, and closes its bitmap", async () => {
    const seen = inBrowser(() => ({ width: 40_000, height: 250 }));
    const made = await imageToTensor(blob, grey);
    expect(made.shape).toEqual([1, 1, 250, 40_000]);
    expect([0, 104, 105, 249].map((row) => made.data[row * 40_000])).toEqual([0, 104, 105, 249]);
    expect(Canvas.made).toEqual(["1 x 1", "40000 x 104"]);
    expect(seen.closed).toBe(1);
  });

  test.each<[string, () => object, RegExp]>([
    [
      "tainted",
      () => ({ width: 1, height: 1, tainted: true }),
      /image 0 is an instance of Blob, and it shows an image of another origin.*crossOrigin.*\(SecurityError: tainted\)/,
    ],
    [
      "damaged",
      () => fail("InvalidStateError", "no image"),
      /the browser cannot decode 1 bytes of type "image\/png".*no image/,
    ],
  ])("%s", async (_, bitmap, message) => {
    inBrowser(bitmap);
    const error = await errorOf(imageToTensor(blob));
    expect(error.message).toMatch(message);
    expect(error.code).toBe("ERR_EAS_ARG_CONTENT");
    expect(error.cause).toBeDefined();
  });

  test("decodes a copy of a Blob that cannot be decoded", async () => {
    let tries = 0;
    inBrowser(() => (++tries === 1 ? fail("InvalidStateError", "parts") : { width: 2, height: 1 }));
    expect((await imageToTensor(blob)).shape).toEqual([1, 3, 1, 2]);
    expect(tries).toBe(2);
  });

  test("reports a canvas that is too large", async () => {
    inBrowser(() => ({ width: 9, height: 9 }));
    vi.stubGlobal(
      "OffscreenCanvas",
      class extends Canvas {
        override getContext = () => (this.width === 1 ? ({} as never) : (null as never));
      },
    );
    expect((await errorOf(imageToTensor({} as never))).message).toMatch(/cannot create a canvas of this size/);
  });

  test("reports a closed source or one of an unknown type", async () => {
    inBrowser(() => fail("InvalidStateError", "detached"));
    const bitmap = { width: 0, height: 0 } as never;
    expect((await errorOf(imageToTensor(bitmap))).message).toMatch(/is empty, closed or not loaded yet/);
    inBrowser(() => {
      throw new TypeError("no overload");
    });
    expect((await errorOf(imageToTensor("x.png" as never))).message).toMatch(/image 0 is "x.png": it must be decoded/);
  });

  test("closes all bitmaps when one of several images fails", async () => {
    let count = 0;
    const seen = inBrowser(() => ({ width: 1, height: 1, tainted: ++count === 1 }));
    await errorOf(imageToTensor([blob, blob, blob]));
    await vi.waitFor(() => expect(seen.closed).toBe(3));
  });
});
