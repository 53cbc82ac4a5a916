/** Writes docs/reference: drop reasons and maps. */
import { type Btf, type BtfType, sizeOf } from './btf.ts';
import type { Header } from './header.ts';
import { dropReasons } from './typescript.ts';

export function renderDropReasons(header: Header, btf: Btf, banner: string): string {
  const rows = dropReasons(header, btf).map(
    (r) => `| ${r.code} | \`${r.name}\` | ${cell(r.description)} | ${cell(r.remedy)} |`,
  );
  return [
    banner,
    '# Drop reasons',
    '',
    'Why the vrouter drops a packet. Each drop is counted by VIF and reason (`cb_drop_1`).',
    '',
    '| code | name | meaning | what to do |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

export function renderMapReference(header: Header, btf: Btf, banner: string): string {
  const maps = header.maps.flatMap((map) => [
    `## ${map.name}`,
    '',
    `${map.comment.charAt(0).toUpperCase()}${map.comment.slice(1)}`,
    '',
    ...(map.key === null ? ['Key: the index (u32).', ''] : structTable('Key', map.key, header, btf)),
    ...structTable('Value', map.value, header, btf),
  ]);
  const nested = header.structs
    .map((s) => s.name)
    .filter((name) => !header.maps.some((m) => m.key === name || m.value === name));
  const others = nested.flatMap((name) => [`## struct ${name}`, '', ...structTable('Layout', name, header, btf)]);
  return [
    banner,
    '# Maps',
    '',
    'The maps that the vrouter shares with the agent. An address is 128 bits, IPv4 as `::ffff:a.b.c.d`; a field that ends',
    'in `_be` is in network byte order, the others in the byte order of the host.',
    '',
    ...maps,
    ...others,
  ].join('\n');
}

function structTable(title: string, name: string, header: Header, btf: Btf): string[] {
  const struct = btf.structs.get(name);
  const comments = header.structs.find((s) => s.name === name)?.fieldComments;
  const rows = (struct?.fields ?? []).map(
    (f) => `| ${f.offset} | \`${f.name}\` | ${typeName(f.type)} | ${cell(comments?.get(f.name) ?? '')} |`,
  );
  const head = `${title}: \`struct ${name}\`, ${struct?.size ?? 0} bytes.`;
  return [head, '', '| offset | field | type | meaning |', '|---|---|---|---|', ...rows, ''];
}

function typeName(type: BtfType): string {
  if (type.kind === 'int') return `u${type.size * 8}`;
  if (type.kind === 'struct') return `\`${type.name}\``;
  return `${typeName(type.of)}[${type.count}]${type.of.kind === 'struct' ? ` (${sizeOf(type)} bytes)` : ''}`;
}

function cell(text: string): string {
  return text.replaceAll('\n', ' ').replaceAll('|', '\\|');
}
