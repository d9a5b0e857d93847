import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';

/** docs/limits.md has every limit of the code with its value, and no other. */

const root = join(import.meta.dirname, '../..');
const packages = join(root, 'packages');
const page = readFileSync(join(root, 'docs/limits.md'), 'utf8');

/** Names that say "limit". Everything of this kind is on the page, or below. */
const LIMIT_NAME = /^(?:MAX|MIN)_|_(?:BYTES|MS|CHARS|FRAMES|DEVICES|AGENTS|CONNECTIONS|PENDING|STREAMS)(?:_|$)|LIMIT|BACKLOG|BURST/u;
const LIMIT_KEY = /(?:^|\.)(?:max[A-Z]\w*|window|\w+Timeout|ticketTtl|\w+Budget)$/u;

const NOT_A_LIMIT: Readonly<Record<string, readonly string[]>> = {
  'the layout of a format, fixed by its specification': [
    'wire/fields UINT_BYTES',
    'wire/fields FIELD_HEADER_BYTES',
    'wire/frames LENGTH_BYTES',
    'wire/frames HEADER_BYTES',
    'wire/mac MAC_BYTES',
    'wire/messages SESSION_ID_BYTES',
    'wire/ticket SIGNATURE_BYTES',
    'wire/yamux/frame HEADER_BYTES',
    'wire/yamux/frame MAX_UINT32',
    'relay/dial/proxy-v2 HEADER_BYTES',
    'relay/dial/proxy-v2 TLV_HEADER_BYTES',
    'auth/admission TICKET_ID_BYTES',
    'auth/pki/serial SERIAL_BYTES',
    'cli/files/page-token TOKEN_BYTES',
    'manager/page/sign-ins SECRET_BYTES',
    'store/revocations MAX_NUMBER',
    'outbreak/alert/news ID_CHARS',
    'outbreak/alert/target HASH_CHARS',
    'outbreak/core/outbreak HASH_CHARS',
    'store/detection-sequence NUMBERS_PER_MS',
    'relay/scan/instream-frames LENGTH_BYTES',
    'outbreak/notices/message/html-text MAX_CODE_POINT',
    'relay/supervisor/detection-queue MAX_ID',
  ],
  'what simulated mails look like, to the byte': [
    'simulator/load/content/mail HEADER_BYTES',
    'simulator/load/content/mail LINE_BYTES',
    'simulator/load/content/mail EMPTY_LINE_BYTES',
    'simulator/load/content/mail MIN_MAIL_BYTES',
    'simulator/load/pop3/mailbox MAX_NUMBER',
  ],
  'how the virtual mesh of a plan keeps its time': [
    'simulator/plan/active-agent FIRST_SLEEP_MS',
    'simulator/plan/agent-links SHORT_LIFE_MS',
    'simulator/plan/find-servers HOUR_MS',
    'simulator/plan/load-curve HOUR_MS',
    'simulator/plan/load-curve DAY_MS',
    'simulator/plan/mesh REST_MS',
    'simulator/plan/pace STEP_MS',
    'simulator/plan/pace QUIET_STEP_MS',
    'simulator/plan/pace CLOSE_STEP_MS',
    'simulator/plan/pace BUSY_FOR_MS',
    'simulator/plan/mesh MAX_TRIES',
    'simulator/plan/mesh REHOME_STEP_MS',
    'simulator/plan/population MAX_TRIES',
    'simulator/plan/patience DAY_MS',
    'simulator/plan/name-service ROUNDING_MS',
    'simulator/plan/population DNS_ROUNDING_MS',
    'simulator/plan/run-plan LATER_MS',
    'simulator/plan/scenario DEFAULT_PLAN_LIMITS',
    'simulator/plan/virtual-manager PUSH_TICK_MS',
    'simulator/plan/virtual-relay LOAD_AVERAGE_MS',
    'simulator/plan/virtual-relay SATURATED_LOOP_MS',
  ],
  'our own rhythm, which nobody else can change': [
    'agent/listener KEEP_ALIVE_AFTER_MS',
    'agent/manager-client LONGEST_SLEEP_MS',
    'agent/resolver HOSTS_TTL_MS',
    'agent/site-quality LOOK_EVERY_MS',
    'auth/auth-server FILE_POLL_MS',
    'auth/auth-server MAC_ONLY_LOG_MS',
    'auth/auth-server STORE_POLL_MS',
    'auth/site-memory OVERDUE_LOG_MS',
    'manager/agents CLOSE_TICK_MS',
    'manager/site-links AUTH_PING_MS',
    'manager/manager TICK_MS',
    'manager/page/history HISTORY_STEP_MS',
    'manager/pushes PUSH_TICK_MS',
    'manager/site-link GREET_AGAIN_MS',
    'cli/commands/site-dns VERIFY_PAUSE_MS',
    'manager/fellows FELLOW_PING_MS',
    'relay/dial/connect-race ATTEMPT_DELAY_MS',
    'relay/dial/connect-race KEEP_ALIVE_AFTER_MS',
    'relay/policy/resolve RESOLUTION_DELAY_MS',
    'relay/stream/sweep TICK_MS',
    'relay/supervisor/machine-load MIN_INTERVAL_MS',
    'relay/supervisor/throughput WINDOW_MS',
    'relay/supervisor/worker-pool CHECK_MS',
    'relay/worker DRAIN_CHECK_MS',
    'relay/worker LOOP_DELAY_RESOLUTION_MS',
    'relay/worker SELF_CHECK_MS',
    'outbreak/alert/recipient RATE_WINDOW_MS',
    'outbreak/core/board SAVE_MS',
    'outbreak/courier CHECK_MS',
    'outbreak/settings POLL_MS',
    'store/overrides-view DEFAULT_POLL_INTERVAL_MS',
    'store/sqlite-database RETRY_JITTER_MS',
    'store/sqlite-database RETRY_PAUSE_MS',
    'relay/supervisor/detection-queue DETECTION_TICK_MS',
    'relay/supervisor/detection-queue FLUSH_CHECK_MS',
    'outbreak/notices/kept-notices RESCAN_MS',
    'outbreak/notices/notice-server SWEEP_MS',
    'outbreak/notices/notice-server RESCAN_EVERY_MS',
    'outbreak/notices/notice-tally LOG_INTERVAL_MS',
    'cli/commands/plan-progress EVERY_MS',
    'cli/commands/plan-progress REDRAW_MS',
    'simulator/load/generator START_TICK_MS',
    'simulator/load/generator SWEEP_MS',
    'simulator/load/generator ARRIVAL_TICK_MS',
    'simulator/load/offices READY_POLL_MS',
    'simulator/load/pacer TICK_MS',
    'simulator/load/run-load TICK_MS',
    'simulator/load/worker SAMPLE_MS',
  ],
  'what counts as a success': [
    'agent/relay-pool SHORT_LIFE_MS',
    'agent/trouble TROUBLE_OVER_MS',
    'cli/roles/process-tree STABLE_MS',
    'relay/supervisor/worker-pool SOUND_AFTER_MS',
  ],
  'how bytes are put together, measured for speed': [
    'channel/held-bytes BLOCK_BYTES',
    'wire/yamux/output COPY_MAX_BYTES',
    'wire/yamux/output FLUSH_BYTES',
    'wire/yamux/output SLAB_BYTES',
    'relay/inspect/spool READ_BYTES',
    'relay/scan/instream-frames COPY_BELOW_BYTES',
    'relay/scan/instream-frames BLOCK_BYTES',
    'simulator/load/content/content-pump MAX_ALLOWANCE_BYTES',
    'simulator/load/content/mail SLICE_BYTES',
    'simulator/load/figures/bitmap FIRST_BYTES',
  ],
  'how a page or a line of text looks': [
    'cli/checks/plugin-report MAX_DECIMALS',
    'manager/page/quantities SECOND_MS',
    'manager/page/quantities MINUTE_MS',
    'manager/page/quantities HOUR_MS',
    'manager/page/quantities DAY_MS',
    'cli/status/manager-view TIME_CHARS',
    'cli/status/servers-view DIGEST_CHARS',
  ],
  'arithmetic of time, weights and estimates': [
    'auth/pki/validity BACKDATE_MS',
    'auth/pki/validity DAY_MS',
    'auth/pki/validity HOUR_MS',
    'cli/files/days-left DAY_MS',
    'cli/checks/agent-check SECOND_MS',
    'cli/checks/run-check SECOND_MS',
    'cli/status/ago SECOND_MS',
    'cli/status/manager-view SECOND_MS',
    'relay/supervisor/inspection-board HOUR_MS',
    'relay/stream/session REFERENCE_BYTES',
    'outbreak/notices/rate-limit MINUTE_MS',
    'scheduler/relay-table MIN_FALLBACK_HEADROOM',
    'simulator/load/figures/load-result US_PER_MS',
    'simulator/load/figures/timeline US_PER_MS',
  ],
};

interface Row {
  readonly name: string;
  readonly place: string;
  readonly value: string;
}

const rows: Row[] = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, name = '', place = '', value = '']) => ({ name: name.replaceAll('`', ''), place, value }));

const isConfiguration = ({ place }: Row): boolean => place.endsWith('.yaml');

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  ms: 1,
  s: 1000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `64 KiB`, `10 s`, `11m`, `253`: in bytes, in milliseconds, or as it is. */
function quantity(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([a-zA-Z]*)$/u.exec(text) ?? [];
  return Number(number === '' ? Number.NaN : number) * (UNITS[unit] ?? Number.NaN);
}

/** Every shipped module, by the name that the page uses: `wire/messages`. */
const modules: ReadonlyMap<string, string> = new Map(
  readdirSync(packages).flatMap((owner) =>
    readdirSync(join(packages, owner, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => /^(?!.*(?:\.test|\.d|samples|recording)\.ts$).*\.ts$/u.test(file) && !file.startsWith('testing/'))
      .map((file) => [`${owner}/${file.slice(0, -3)}`, readFileSync(join(packages, owner, 'src', file), 'utf8')]),
  ),
);

const DECLARATION = /^(?:export )?const ([A-Z][A-Z0-9_]*)\b[^=]*=(?!=|>)\s*([\s\S]*?);$/gmu;

/** The text of every constant of a module. */
function constantsOf(place: string): Map<string, string> {
  const text = (modules.get(place) ?? '').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gmu, '');
  return new Map([...text.matchAll(DECLARATION)].map(([, name = '', value = '']) => [name, value]));
}

/** The value of `NAME` or `NAME.key.key` in a module: literals, arithmetic, and other constants of the same module. */
function valueOf(place: string, path: string): unknown {
  const [name = '', ...keys] = path.split('.');
  const constants = constantsOf(place);
  const source = constants.get(name);
  if (source === undefined) return undefined;
  const expression = source.replace(/\bas const\b|\bsatisfies\b[\s\S]*$/gu, '');
  const scope = Object.fromEntries(
    [...expression.matchAll(/\b[A-Z][A-Z0-9_]*\b/gu)]
      .filter(([other]) => constants.has(other))
      .map(([other]) => [other, valueOf(place, other)]),
  );
  let value: unknown = runInNewContext(`(${expression})`, scope);
  for (const key of keys) value = (value as Record<string, unknown>)[key];
  return value;
}

/** Keys and defaults of site.yaml and agent.yaml, from the page that is made from their schemas. */
const configuration = new Map(
  readFileSync(join(root, 'docs/configuration.md'), 'utf8')
    .split(/^## /mu)
    .slice(1)
    .map((section) => [
      /^\S+/u.exec(section)?.[0] ?? '',
      new Map([...section.matchAll(/^\| `([^`]+)` \|[^|]*\| `?([^`|]+?)`? \|/gmu)].map(([, key = '', value = '']) => [key, value])),
    ]),
);

test('the page has one line a limit', () => {
  const names = rows.map(({ name, place }) => `${place} ${name}`);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  expect(rows.length).toBeGreaterThan(150);
  for (const line of page.split('\n').filter((text) => text.startsWith('| `')))
    expect(line.split('|'), line).toHaveLength(8);
});

test('every constant on the page exists and has the value that it says', () => {
  for (const { name, place, value } of rows.filter((row) => !isConfiguration(row))) {
    expect(modules.has(place), `${place}, the place of ${name}`).toBe(true);
    expect({ place, name, value: valueOf(place, name) }).toEqual({ place, name, value: quantity(value) });
  }
});

test('a weight that the store keeps is one that the scheduler takes', () => {
  expect(valueOf('store/override', 'MAX_WEIGHT')).toBe(valueOf('scheduler/table-entry', 'MAX_WEIGHT'));
});

test('every key on the page exists and has the default that it says', () => {
  for (const { name, place, value } of rows.filter(isConfiguration)) {
    const standard = configuration.get(place)?.get(name);
    expect(standard, `${name} of ${place}`).toBeDefined();
    expect({ name, value: quantity(standard ?? '') }).toEqual({ name, value: quantity(value) });
  }
});

test('every limit of the code is on the page, or has a reason not to be', () => {
  const documented = new Set(rows.map(({ name, place }) => `${place} ${name.split('.')[0]}`));
  const excused = new Set(Object.values(NOT_A_LIMIT).flat());
  const found = [...modules.keys()].flatMap((place) =>
    [...constantsOf(place).keys()].filter((name) => LIMIT_NAME.test(name)).map((name) => `${place} ${name}`),
  );
  expect(found.length).toBeGreaterThan(150);
  expect(found.filter((name) => !documented.has(name) && !excused.has(name))).toEqual([]);
  // No excuse for what is gone, or documented after all.
  expect([...excused].filter((name) => !found.includes(name) || documented.has(name))).toEqual([]);
});

test('every limit that an operator can set is on the page', () => {
  expect([...configuration.keys()]).toEqual(['site.yaml', 'agent.yaml']);
  for (const [place, keys] of configuration) {
    const documented = new Set(rows.filter((row) => row.place === place).map(({ name }) => name));
    expect([...keys.keys()].filter((key) => LIMIT_KEY.test(key) && !documented.has(key))).toEqual([]);
  }
});
