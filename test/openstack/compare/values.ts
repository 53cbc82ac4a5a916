/** Values that attributes of one kind get, beside those that all attributes get. */

/** An ID that nothing has. */
export const NOBODY = '11111111-1111-4111-8111-111111111111';

export const TEXTS: readonly unknown[] = ['given', 'x'.repeat(255)];
export const BOOLEANS: readonly unknown[] = [true, 'False', 2];
/** The same without false: of what cannot be taken away when it is off. */
export const TRUES: readonly unknown[] = [true, 'True', 2];
export const UUIDS: readonly unknown[] = [NOBODY, NOBODY.replaceAll('-', ''), `${NOBODY} `, NOBODY.toUpperCase()];

export const MACS: readonly unknown[] = [
  ...['02:00:00:00:00:0a', '02:00:00:00:00:AB', '02-00-00-00-00-0a', '0200.0000.000a', '02000000000a'],
  ...[' 02:00:00:00:00:0a', '2:0:0:0:0:a', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', '01:00:5e:00:00:01'],
  ...['02:00:00:00:00', '02:00:00:00:00:0g'],
];

export const ADDRESSES: readonly unknown[] = [
  ...['10.1.0.10', '10.1.0.010', ' 10.1.0.10', '10.1.0.10 ', '10.1.0.10/32', '10.1.0', '10.1.0.256', '0.0.0.0'],
  ...['255.255.255.255', '224.0.0.1', '127.0.0.1', '10.1.0.0', '10.1.0.255', '10.9.0.9', '::', '::1', 'fd00::5'],
  ...['FD00::5', 'fe80::1', 'ff02::1', '::ffff:10.1.0.10', 'fd00::5%eth0'],
];

export const PREFIXES: readonly unknown[] = [
  ...['10.2.0.0/24', '10.2.0.5/24', '10.2.0.0', '10.2.0.0/33', '10.2.0.0/-1', '10.2.0.0/0', '0.0.0.0/0', '::/0'],
  ...['10.2.0.0/255.255.255.0', ' 10.2.0.0/24', '10.2/16', '10.2.0.0/31', '10.2.0.0/32', '10.2.0.1/32'],
  ...['224.0.0.0/24', '127.0.0.0/8', 'fd01::/64', 'FD01::/64', 'fd01::1/64', 'fd01::/129', 'fe80::/64'],
];

/** Lists with one of each, with two that are alike, and with two that are not. */
export function listsOf(values: readonly unknown[]): readonly unknown[] {
  const [first, second] = values;
  return [[first], ...values.slice(1).map((value) => [value]), [first, first], [first, second]];
}
