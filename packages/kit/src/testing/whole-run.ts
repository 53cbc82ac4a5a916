/**
 * How often a test repeats what it does with other numbers: `some` by default, `all` where everything is to be tried
 * (`npm test -- --all`, which sets CABLE_TEST_ALL=1).
 */
export function ofAll(some: number, all: number): number {
  return process.env['CABLE_TEST_ALL'] === '1' ? all : some;
}
