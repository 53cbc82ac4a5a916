/** An annotation that is not understood. `message` names it. */
export class WishError extends Error {}

const MOST_QUOTED = 100;

/** A part of an annotation as a message names it: in quotes, and its beginning alone where it is long. */
export function quoted(text: string): string {
  return `"${text.length > MOST_QUOTED ? `${text.slice(0, MOST_QUOTED)}…` : text}"`;
}
