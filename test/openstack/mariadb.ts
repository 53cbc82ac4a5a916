/** A MariaDB of Debian's packages, in a directory of its own: no network, no account but root on its socket. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Program } from '../hammer/program.ts';

export type Database = {
  /** As SQLAlchemy has it. */
  readonly url: string;
  readonly socket: string;
  /** One statement, with its values where it says `%s`; returns the rows. */
  execute(statement: string, values?: readonly (string | number)[]): Promise<readonly (readonly unknown[])[]>;
  close(): Promise<void>;
};

const run = promisify(execFile);

/** By the library that the programs under test use too. */
const EXECUTE = `
import json, sys, pymysql
db = pymysql.connect(unix_socket=sys.argv[1], user="root", database=sys.argv[2], autocommit=True)
with db.cursor() as cursor:
    cursor.execute(sys.argv[3], json.loads(sys.argv[4]))
    print(json.dumps(cursor.fetchall(), default=str))
`;

/** `name`: of the database in it. `isDurable`: false when it need not wait for the disk. */
export async function startMariaDb(
  directory: string,
  { name, isDurable }: { readonly name: string; readonly isDurable: boolean },
): Promise<Database> {
  const home = join(directory, 'mariadb');
  const [data, socket, first] = [join(home, 'data'), join(home, 'socket'), join(home, 'first.sql')];
  mkdirSync(home, { recursive: true });
  const user = ['--user=root', '--skip-name-resolve'];
  const rights = ['--auth-root-authentication-method=normal', '--skip-test-db'];
  await run('mariadb-install-db', ['--no-defaults', `--datadir=${data}`, ...user, ...rights]);
  writeFileSync(first, `create database if not exists ${name} character set utf8;\n`);
  // As the guides for OpenStack set it up.
  const settings = ['--max-connections=4096', '--character-set-server=utf8', '--innodb-file-per-table'];
  const disk = isDurable ? [] : ['--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync'];
  const files = [`--datadir=${data}`, `--socket=${socket}`, `--init-file=${first}`, '--skip-networking'];
  const program = new Program({
    name: 'mariadbd',
    command: ['mariadbd', '--no-defaults', ...files, ...user, ...settings, ...disk],
    log: join(directory, 'mariadb.log'),
    ready: () =>
      execute('select 1').then(
        () => true,
        () => false,
      ),
  });
  const execute: Database['execute'] = async (statement, values = []) => {
    const { stdout } = await run('/usr/bin/python3', ['-c', EXECUTE, socket, name, statement, JSON.stringify(values)]);
    return JSON.parse(stdout) as readonly (readonly unknown[])[];
  };
  const abandon = (): void => program.abandon();
  process.once('exit', abandon);
  const close = async (): Promise<void> => {
    await program.end('SIGKILL');
    process.off('exit', abandon);
  };
  try {
    await program.start();
  } catch (err) {
    await close();
    throw err;
  }
  return { url: `mysql+pymysql://root@localhost/${name}?unix_socket=${socket}&charset=utf8`, socket, execute, close };
}
