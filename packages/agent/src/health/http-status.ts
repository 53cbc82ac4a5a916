/** Of HTTP answers only the beginning is read: the status. Everything comes from a guest. */

/** A status line is not longer: what is, is none. */
const LINE_BYTES = 1024;

/** The status of an answer (RFC 9112, section 4): 100 to 599; undefined: the line has not come to its end; null: it is no answer of HTTP. */
export function httpStatus(answer: Uint8Array): number | null | undefined {
  const end = answer.subarray(0, LINE_BYTES).indexOf(0x0a);
  const line = Buffer.from(answer.buffer, answer.byteOffset, end < 0 ? Math.min(answer.length, LINE_BYTES) : end);
  const text = line.toString('latin1').replace(/\r$/, '');
  if (end < 0) return text.length < LINE_BYTES && couldBegin(text) ? undefined : null;
  const status = /^HTTP\/1\.[01] ([1-5]\d\d)(?: .*)?$/.exec(text)?.[1];
  return status === undefined ? null : Number(status);
}

/** The beginning of a status line. */
function couldBegin(text: string): boolean {
  const head = 'HTTP/1.';
  return text.length < head.length ? head.startsWith(text) : text.startsWith(head);
}
