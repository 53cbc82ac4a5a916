/** Moments as clients of Neutron write them: ISO 8601, with what that leaves out. */

const DATE = String.raw`(\d{4})(?:(?:-(\d{1,2})|(\d{2})(?!\n?$))(?:(?:-(\d{1,2})|(\d{2}))(?:[ T]TIME)?)?)?`;
const TIME = String.raw`(\d{2})(?::?(\d{2}))?(?::?(\d{1,2})(?:[.,](\d+))?)?(?:Z|([-+])(\d{2}):?(\d{2})?)?`;
const MOMENT = new RegExp(`^${DATE.replace('TIME', TIME)}\n?$`);

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
/** The moments that four digits of a year can say, in ms since 1970. */
const [FIRST_MS, LAST_MS] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59Z') + 1000];

/**
 * Milliseconds since 1970, rounded up from microseconds, of which what is less is left out; undefined: Neutron takes the text for no moment. Months, days and whole times may be left out, dashes and colons too; without
 * a zone it is UTC. So `2026`, `2026-3`, `20260301 1230`, `2026-03-01T12:30:00.5+0130`.
 */
export function parseIsoTime(text: string): number | undefined {
  const found = MOMENT.exec(text);
  if (found === null) return undefined;
  const [, year, dashMonth, month, dashDay, day, hour, minute, second, fraction = '', sign, zoneHours, zoneMinutes] =
    found;
  const offset = (Number(zoneHours ?? 0) * 60 + Number(zoneMinutes ?? 0)) * (sign === '-' ? -1 : 1);
  if (Math.abs(offset) >= DAY_MINUTES) return undefined;
  const wanted = [year, dashMonth ?? month ?? 1, dashDay ?? day ?? 1, hour ?? 0, minute ?? 0, second ?? 0].map(Number);
  const [years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = wanted;
  const date = new Date(Date.UTC(2000, months - 1, days, hours, minutes, seconds));
  // Years below 100 are of the last century in `Date.UTC`.
  date.setUTCFullYear(years, months - 1, days);
  const shown = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours()];
  const isDate = [...shown, date.getUTCMinutes(), date.getUTCSeconds()].every((one, at) => one === wanted[at]);
  const micros = Number(fraction.padEnd(6, '0').slice(0, 6));
  const ms = date.getTime() - offset * MINUTE_MS + Math.ceil(micros / 1000);
  return isDate && ms >= FIRST_MS && ms <= LAST_MS ? ms : undefined;
}
