import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHeader } from '../../scripts/gen/header.ts';

const HEADER = `/* The file's comment.
 * It names cb_other_1: in the middle, which is no map.
 */
#ifndef CABLE_ABI_H
#define CABLE_ABI_H
#define CB_MAX_THING 0x10 /* of things */
#define CB_PLAIN 7

/*
 * cb_thing_1: hash, (a,
 * b) -> thing. cb_twin_1: hash, the same.
 */
struct cb_thing_key {
	__u32 a; /* first */
	__u8 pad[4];
};

struct cb_twin_key {
	struct cb_addr b;
};

struct cb_thing {
	/* before a field */
	__u16 port_be;
	__u64 drops[CB_MAX_THING]; /* over two
	                            * lines */
};

/* cb_conf_1: array of one. */
struct cb_conf {
	__u32 epoch;
};

enum cb_reason {
	CB_REASON_NONE = 0,
	CB_REASON_LONG =
		1, /* folded by the formatter */
};
#endif
`;

test('defines, fields and values come with their comments, however the lines are broken', () => {
  const header = parseHeader(HEADER);
  assert.deepEqual(header.defines, [
    { name: 'CB_MAX_THING', value: 16, text: '0x10', comment: 'of things' },
    { name: 'CB_PLAIN', value: 7, text: '7', comment: '' },
  ]);
  assert.deepEqual(
    header.structs.map((s) => s.name),
    ['cb_thing_key', 'cb_twin_key', 'cb_thing', 'cb_conf'],
  );
  assert.deepEqual(
    [...(header.structs[2]?.fieldComments ?? [])],
    [
      ['port_be', ''],
      ['drops', 'over two\nlines'],
    ],
  );
  assert.deepEqual(
    [...(header.enums[0]?.valueComments ?? [])],
    [
      ['CB_REASON_NONE', ''],
      ['CB_REASON_LONG', 'folded by the formatter'],
    ],
  );
});

test('maps are found in the comments, with the structs of their keys and values', () => {
  assert.deepEqual(parseHeader(HEADER).maps, [
    { name: 'cb_thing_1', comment: 'hash, (a, b) -> thing.', key: 'cb_thing_key', value: 'cb_thing' },
    { name: 'cb_twin_1', comment: 'hash, the same.', key: 'cb_twin_key', value: 'cb_thing' },
    { name: 'cb_conf_1', comment: 'array of one.', key: null, value: 'cb_conf' },
  ]);
});

test('a form that the generator does not know is refused, not skipped', () => {
  assert.throws(() => parseHeader('#define CB_SUM (1 + 2)\n'), /CB_SUM/);
  assert.throws(() => parseHeader('struct cb_x {\n\t__u32 bits : 3;\n};\n'), /cb_x: cannot read: .*bits : 3/);
  assert.throws(() => parseHeader('enum cb_y {\n\tCB_Y_IMPLICIT,\n};\n'), /cb_y: cannot read: CB_Y_IMPLICIT/);
  assert.throws(() => parseHeader('/* cb_lost_1: hash, nothing. */\n'), /cb_lost_1/);
});
