// Sorts the entries of maps in encoded messages. All other bytes stay unchanged: absent fields stay absent, and
// numbers are not decoded, so that even the bits of a NaN are compared.

const VARINT = 0;
const FIXED64 = 1;
const DELIMITED = 2;
const FIXED32 = 5;

/** `schema` defines which fields are maps and messages: one of those in `eas-prediction/proto/<format>`. */
export function canonical(bytes, schema) {
  const fields = new Map(schema.fields.map((field) => [field.number, field]));
  const pieces = [];
  let run = { field: undefined, entries: [] };
  const flush = () => {
    pieces.push(...run.entries.sort(Buffer.compare));
    run = { field: undefined, entries: [] };
  };
  for (const { number, head, value } of piecesOf(bytes)) {
    const field = fields.get(number);
    if (field?.fieldKind !== "map" || run.field !== field) flush();
    if (field?.fieldKind === "map") {
      run.field = field;
      run.entries.push(Buffer.concat([head, entry(value, field)]));
    } else {
      pieces.push(head, nested(field) ? canonical(value, field.message) : value);
    }
  }
  flush();
  return Buffer.concat(pieces);
}

const nested = (field) =>
  field?.fieldKind === "message" || (field?.fieldKind === "list" && field.listKind === "message");

function entry(bytes, field) {
  const pieces = [];
  for (const { number, head, value } of piecesOf(bytes)) {
    pieces.push(head, number === 2 && field.mapKind === "message" ? canonical(value, field.message) : value);
  }
  return Buffer.concat(pieces);
}

/** Splits a message into fields: the tag with the length, if any, and the value. */
function* piecesOf(bytes) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < buffer.length; ) {
    const start = at;
    const tag = varint();
    const type = tag % 8;
    let length = 0;
    if (type === DELIMITED) length = varint();
    else if (type === FIXED64) length = 8;
    else if (type === FIXED32) length = 4;
    const head = buffer.subarray(start, at);
    const valueStart = at;
    if (type === VARINT) varint();
    else at += length;
    if (at > buffer.length || ![VARINT, FIXED64, DELIMITED, FIXED32].includes(type)) throw new Error("no message");
    yield { number: Math.floor(tag / 8), head, value: buffer.subarray(valueStart, at) };

    function varint() {
      let value = 0;
      let scale = 1;
      for (;;) {
        if (at >= buffer.length) throw new Error("no message");
        const byte = buffer[at++];
        value += (byte & 127) * scale;
        if (byte < 128) return value;
        scale *= 128;
      }
    }
  }
}
