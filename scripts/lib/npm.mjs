/** npm packages: installed exactly as package-lock.json says, and only when they are not. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { say, step } from './say.mjs';

/**
 * Makes node_modules match package-lock.json when it does not. `npm install --no-save` takes the locked versions and checks their
 * digests as `npm ci` does, and leaves the lock alone; `npm ci` refuses a lock that was made where a registry's mirror had not the
 * optional packages of other platforms.
 */
export async function installNpm(root) {
  const reason = mismatch(root);
  if (reason === undefined) return;
  say(`installing npm packages (${reason})`);
  await step('npm', ['install', '--no-save', '--no-audit', '--no-fund'], {
    cwd: root,
    remedy: 'see that this machine reaches the npm registry (npm ping), then try again',
  });
}

/** Why node_modules does not match package-lock.json; undefined: it does. */
function mismatch(root) {
  const installed = readLock(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'none are here yet';
  const wanted = readLock(join(root, 'package-lock.json')) ?? {};
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/')) continue;
    if (entry.link === true) {
      if (!existsSync(join(root, path))) return `${path} is not linked`;
    } else if (installed[path] === undefined) {
      if (entry.optional !== true && entry.peer !== true) return `${path} is missing`;
    } else if (installed[path].version !== entry.version) {
      return `${path} is ${installed[path].version}, not ${entry.version}`;
    }
  }
  return undefined;
}

function readLock(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined;
}
