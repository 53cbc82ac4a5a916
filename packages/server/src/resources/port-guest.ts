import { type AnyObject, CableError, type Port } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';

/** A kind of key, the key in base64, and maybe a comment. */
const PUBLIC_KEY = /^[a-z0-9@.-]+ [A-Za-z0-9+/]{16,}={0,3}( \P{Control}*)?$/u;

/** What ports tell their guests (`cable-guest`): keys are what a line of `authorized_keys` may be without options. */
export const portGuestModule: Contribution<AnyObject> = contribute<Port>({
  check: (_view, port, before) => {
    if (port['cable:public_keys'] === before?.['cable:public_keys']) return;
    const seen = new Set<string>();
    for (const { name, public_key } of port['cable:public_keys']) {
      if (/\p{Control}/u.test(name)) throw invalid('a name has a control character: give it without');
      if (seen.has(name)) throw invalid(`the name ${name} is there twice`);
      if (!PUBLIC_KEY.test(public_key))
        throw invalid(
          `public_key of ${name}: give one line as OpenSSH writes it, such as 'ssh-ed25519 AAAA... comment'`,
        );
      seen.add(name);
    }
  },
});

function invalid(reason: string): CableError {
  return new CableError('HTTPBadRequest', `Invalid input for cable:public_keys. Reason: ${reason}.`, {
    fields: { name: 'cable:public_keys' },
  });
}
