/** What the server has under many names and IDs, with few requests. */
import type { Client } from '@cable/api';
import { type AnyObject, isUuid } from '@cable/model';

/** In one request, whose line has some thousand characters. */
const AT_ONCE = 20;
const MOST_CHARACTERS = 6000;

/** Rows of a type by each of the texts, which are IDs and names, as the client sees them. One request after the other, each with some dozens. */
export async function namedRows(
  client: Pick<Client, 'list'>,
  type: string,
  texts: readonly string[],
): Promise<ReadonlyMap<string, readonly AnyObject[]>> {
  const rows = new Map<string, readonly AnyObject[]>();
  for (const attribute of ['id', 'name'] as const) {
    for (const some of parted(texts.filter((text) => isUuid(text) === (attribute === 'id')))) {
      const found = (await client.list(type, { [attribute]: some })) as readonly AnyObject[];
      for (const text of some)
        rows.set(
          text,
          found.filter((row) => row[attribute] === text),
        );
    }
  }
  return rows;
}

function parted(texts: readonly string[]): readonly (readonly string[])[] {
  const parts: string[][] = [];
  let characters = 0;
  for (const text of texts) {
    const own = encodeURIComponent(text).length;
    const last = parts.at(-1);
    if (last === undefined || last.length === AT_ONCE || characters + own > MOST_CHARACTERS) {
      parts.push([text]);
      characters = own;
    } else {
      last.push(text);
      characters += own;
    }
  }
  return parts;
}
