/** The real `openstack` client of Debian's packages, one process for many commands: starting it takes longer than what most commands do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { User } from './keystone.ts';

/** What a command ended with and wrote. */
export type Output = { readonly code: number; readonly out: string; readonly err: string };

export type OpenstackClient = {
  /** One command, without the word `openstack`. What has a format is asked for as JSON. */
  run(words: readonly string[]): Promise<Output>;
  close(): Promise<void>;
};

export type ClientOptions = {
  /** Of Keystone. */
  readonly authUrl: string;
  readonly user: User;
  readonly project: string;
  readonly region: string;
};

/** The client's own shell: commands come as lines of JSON in place of a prompt, and each is run as if it were on the command line. */
const SHELL = `
import io, json, sys
sys.argv[0] = "openstack"
from cliff.display import DisplayCommandBase
from openstackclient.shell import OpenStackShell

class Shell(OpenStackShell):
    def interact(self):
        self.interactive_mode = False
        answers = sys.stdout
        for line in sys.stdin:
            out, err = io.StringIO(), io.StringIO()
            self.stdout = sys.stdout = out
            self.stderr = sys.stderr = err
            self.log_configurator.console_logger.setStream(err)
            try:
                code = self.run_subcommand(self.as_json(json.loads(line)))
            except SystemExit as end:
                code = end.code
            answers.write(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}) + "\\n")
            answers.flush()

    def as_json(self, words):
        try:
            command, _, rest = self.command_manager.find_command(words)
        except ValueError:
            return words
        asked = isinstance(command, type) and issubclass(command, DisplayCommandBase) and "-f" not in rest
        return words + ["-f", "json"] if asked else words

sys.exit(Shell().run([]))
`;

/** Starts one that is logged in with its first command. Its process ends with this one. */
export function startClient(options: ClientOptions): OpenstackClient {
  const child = spawn('/usr/bin/python3', ['-c', SHELL], {
    env: environmentOf(options),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const gone = once(child, 'exit');
  if (running.size === 0) process.once('exit', abandon);
  running.add(child);
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said = `${said}${text.toString()}`.slice(-4000);
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    run: async (words) => {
      child.stdin.write(`${JSON.stringify(words)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`the openstack client ended in place of running ${words.join(' ')}:\n${said}`);
      return JSON.parse(value) as Output;
    },
    close: async () => {
      child.stdin.end();
      await gone;
      running.delete(child);
      if (running.size === 0) process.off('exit', abandon);
    },
  };
}

const running = new Set<ChildProcess>();

function abandon(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Of this process, but for settings of another cloud. */
function environmentOf({ authUrl, user, project, region }: ClientOptions): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('OS_'));
  return {
    ...Object.fromEntries(own),
    ...{ OS_AUTH_URL: authUrl, OS_USERNAME: user.name, OS_PASSWORD: user.password, OS_PROJECT_NAME: project },
    ...{ OS_USER_DOMAIN_ID: 'default', OS_PROJECT_DOMAIN_ID: 'default', OS_REGION_NAME: region },
    ...{ OS_IDENTITY_API_VERSION: '3', PYTHONWARNINGS: 'ignore', COLUMNS: '400', LC_ALL: 'C.UTF-8' },
    // The client says sets of Python in their order.
    PYTHONHASHSEED: '0',
  };
}
