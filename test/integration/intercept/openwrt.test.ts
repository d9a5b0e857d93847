import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProcess } from '../../kit/process.ts';

const SCRIPT = join(import.meta.dirname, '../../../deploy/intercept/openwrt/sekisho-agent');
/** rc.common and procd, as far as they are asked. */
const STUBS = `
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { printf '<%s>' "$@"; echo; }
nft() { echo "nft $*"; }
`;

test("OpenWrt: what procd is told, and what happens before a stop; with a stub of procd, which is not here", async () => {
  const { code, output } = await runProcess({ command: 'sh', args: ['-euc', `${STUBS} . "$1"; start_service; stop_service`, 'sh', SCRIPT] });
  expect(code, output).toBe(0);
  expect(output.split('\n')).toEqual([
    expect.stringMatching(/^<command><\/bin\/sh><-c><\/usr\/bin\/node \S+ intercept up --config (\S+) && exec \/usr\/sbin\/sekisho-transparent --user sekisho --port 7029 127\.0\.0\.1 ::1 -- \/usr\/bin\/node \S+ agent --config \1>$/u),
    '<file></etc/sekisho/agent.yaml>',
    '<respawn><3600><5><0>',
    '<limits><nofile=8192 8192>',
    '<stdout><1>',
    '<stderr><1>',
    '<term_timeout><690>',
    'nft flush chain inet sekisho take',
    '',
  ]);
});
