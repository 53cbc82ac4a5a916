/** Tar archives in memory (POSIX.1-2001 pax, in its ustar form where that suffices). The same entries give the same bytes: all are root's, of the beginning of 1970. */

const BLOCK = 512;

/**
 * An archive of entries `{path, mode, content}` (a file), `{path, mode}` (a directory) and `{path, target}` (a symbolic link). Paths are relative; directories above are added, as 0755,
 * where they are not given. What comes later under the same path wins.
 */
export function tarOf(entries) {
  const byPath = new Map();
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let count = 1; count < parts.length; count += 1) {
      const above = parts.slice(0, count).join('/');
      if (!byPath.has(above)) byPath.set(above, { path: above, mode: 0o755 });
    }
    byPath.set(entry.path, entry);
  }
  const sorted = [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return Buffer.concat([...sorted.flatMap(blocksOf), Buffer.alloc(2 * BLOCK)]);
}

function blocksOf({ path, mode = 0o777, content, target }) {
  const kind = content !== undefined ? '0' : target !== undefined ? '2' : '5';
  const name = kind === '5' ? `${path}/` : path;
  const size = content?.length ?? 0;
  const header = { mode, kind, size };
  const fits = Buffer.byteLength(name) <= 100 && Buffer.byteLength(target ?? '') <= 100;
  const blocks = fits
    ? [headerOf({ ...header, name, target: target ?? '' })]
    : [
        ...paxOf({ path: name, ...(target === undefined ? {} : { linkpath: target }) }),
        headerOf({ ...header, name: name.slice(0, 60), target: (target ?? '').slice(0, 60) }),
      ];
  return content === undefined ? blocks : [...blocks, content, padding(size)];
}

/** Records that say for the next entry what has no room in its header. */
function paxOf(records) {
  const text = Object.entries(records)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      const bytes = Buffer.byteLength(rest);
      let length = bytes + 1;
      while (String(length).length + bytes !== length) length = String(length).length + bytes;
      return `${length}${rest}`;
    })
    .join('');
  const content = Buffer.from(text);
  return [
    headerOf({ name: 'pax', mode: 0o644, kind: 'x', size: content.length, target: '' }),
    content,
    padding(content.length),
  ];
}

function padding(size) {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

function headerOf({ name, mode, kind, size, target }) {
  const header = Buffer.alloc(BLOCK);
  const octal = (value, width) => `${value.toString(8).padStart(width - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(size, 12), 124);
  header.write(octal(0, 12), 136);
  header.write('        ', 148);
  header.write(kind, 156);
  header.write(target, 157);
  header.write('ustar\0', 257);
  header.write('00', 263);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}
