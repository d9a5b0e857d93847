import { expect, test } from 'vitest';
import { workplace } from '../testing/command.ts';

const { sekisho, write, path } = workplace();

/** Monitoring knows four states by their exit codes, and reads one line. */
const said = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await sekisho('check', ...args);
  // People who say nothing are shown the help besides.
  if (args.length > 0) expect(stderr).toBe('');
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  return `${code} ${stdout.trimEnd()}`;
};

test('whatever is wrong with the command or its files is UNKNOWN, in one line', async () => {
  write('site.yaml', 'site: tokyo-1\nnonsense: 1\n');
  const [nothing, range, file, which] = await Promise.all([said(), said('relay', '--config', 'site.yaml', '-w', 'x'), said('site', '--config', 'site.yaml'), said('agent')]);
  expect(nothing).toBe('3 SEKISHO CHECK UNKNOWN - say what to look at: relay, manager, site, agent or clamd');
  expect(range).toMatch(/^3 SEKISHO CHECK UNKNOWN - option '-w, --warning <range>' argument 'x' is invalid\. a threshold is 10, 10:, ~:10, 10:20 or @10:20$/u);
  expect(file).toContain(`3 SEKISHO SITE UNKNOWN - ${path('site.yaml').split('/').at(-1)}:`);
  expect(which).toMatch(/^3 SEKISHO AGENT UNKNOWN - Which agent\? /u);
});

test('a peer that is silent is CRITICAL when time is up', async () => {
  // Of the documentation's addresses: nobody answers, and nobody says no.
  expect(await said('agent', '--url', 'http://192.0.2.1:9463/metrics', '-t', '0.3')).toMatch(/^2 SEKISHO AGENT CRITICAL - (?:timed out after 0\.3 s|the agent does not answer at )/u);
});
