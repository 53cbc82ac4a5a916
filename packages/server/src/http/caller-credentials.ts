import { type Credentials, credentialsOf } from '../policy/credentials.ts';
import type { AuthenticatedCaller } from './auth.ts';

const credentials = new WeakMap<AuthenticatedCaller, Credentials>();

/** A caller for the rules. The same value for the same caller: what the rules come to is kept with it. */
export function credentialsFor(caller: AuthenticatedCaller): Credentials {
  const known = credentials.get(caller);
  if (known !== undefined) return known;
  const made = credentialsOf(caller);
  credentials.set(caller, made);
  return made;
}
