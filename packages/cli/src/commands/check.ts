import type { Command } from 'commander';
import { addThresholdOptions, addTimeoutOption, type CheckOptions, failAsUnknown, runCheck } from '../checks/run-check.ts';

/** The most that a scanner is waited for in one step of a check. */
const SCANNER_STEP_MS = 3000;

interface SiteCheckOptions extends CheckOptions {
  readonly config: string;
  readonly server?: string;
}

/** `sekisho check …`: plugins for Nagios and whatever else runs monitoring plugins. */
export function addCheckCommands(program: Command): void {
  const check = program
    .command('check')
    .description('plugins for monitoring: one line, and exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN')
    .exitOverride((error) => {
      if (error.exitCode === 0) throw error; // --help
      failAsUnknown('CHECK', error.code === 'commander.help' ? 'say what to look at: relay, manager, site, agent or clamd' : error.message);
    })
    .configureOutput({ outputError: () => {} })
    .showHelpAfterError(false)
    .addHelpText(
      'after',
      `
Run them as the user that the site runs as: they read its keys. docs/observing.md has examples for Nagios.`,
    );
  addRelayCheck(check);
  addManagerCheck(check);
  addSiteCheck(check);
  addAgentCheck(check);
  addClamdCheck(check);
}

function siteCheck(check: Command, name: string, description: string): Command {
  return check.command(name).description(description).requiredOption('--config <file>', 'the site.yaml');
}

function addRelayCheck(check: Command): void {
  const command = siteCheck(check, 'relay', 'a relay: answers, load, sessions, workers, scanners, draining, certificate')
    .option('--server <name>', 'which; by default the one of this machine')
    .addHelpText(
      'after',
      `
Examples:
  sekisho check relay --config /etc/sekisho/site.yaml
  sekisho check relay --config /etc/sekisho/site.yaml --server s3 -w 80 -c 100`,
    );
  addThresholdOptions(command, 'its load in percent of its limit', { warning: 100, critical: 'none' }).action(async (options: SiteCheckOptions) => {
    await runCheck('RELAY', options, async (report, timeoutMs) => {
      const [{ checkRelay }, asked] = await Promise.all([import('../checks/relay-check.ts'), serverOf(options, 'relay')]);
      await checkRelay(report, asked, { ...options, timeoutMs });
    });
  });
}

function addManagerCheck(check: Command): void {
  const command = siteCheck(check, 'manager', 'a manager: answers, and on its own machine agents, relays, direct').option(
    '--server <name>',
    'which; by default the one of this machine',
  );
  addThresholdOptions(command, 'the seconds until it has answered', { warning: 1, critical: 'none' }).action(async (options: SiteCheckOptions) => {
    await runCheck('MANAGER', options, async (report, timeoutMs) => {
      const [{ checkManager }, asked] = await Promise.all([import('../checks/manager-check.ts'), serverOf(options, 'manager')]);
      await checkManager(report, asked, { ...options, timeoutMs });
    });
  });
}

function addSiteCheck(check: Command): void {
  const command = siteCheck(check, 'site', 'every relay, manager and auth of the site, its scanners and store, configurations and clocks');
  addThresholdOptions(command, 'the seconds between clocks', { warning: 5, critical: 30 }).action(async (options: SiteCheckOptions) => {
    await runCheck('SITE', options, async (report, timeoutMs) => {
      const [{ checkSite }, { loadSite }, { siteAccess }] = await Promise.all([
        import('../checks/site-check.ts'),
        import('../files/site.ts'),
        import('../checks/site-access.ts'),
      ]);
      const site = loadSite(options.config);
      await checkSite(report, { site, access: siteAccess(site) }, { ...options, timeoutMs });
    });
  });
}

function addAgentCheck(check: Command): void {
  const command = check
    .command('agent')
    .description('the agent of this router by its metrics: direct, lease, managers, certificate')
    .option('--config <file>', 'its agent.yaml, with metrics.port')
    .option('--url <url>', 'where its metrics are instead, such as http://127.0.0.1:9463/metrics');
  addTimeoutOption(command).action(async (options: CheckOptions & { config?: string; url?: string }) => {
    await runCheck('AGENT', options, async (report, timeoutMs) => {
      const { checkAgent } = await import('../checks/agent-check.ts');
      await checkAgent(report, { url: options.url ?? (await metricsUrl(options.config)), timeoutMs });
    });
  });
}

function addClamdCheck(check: Command): void {
  const command = siteCheck(check, 'clamd', 'the scanners of site.yaml: which answer, and how old their signatures are');
  addThresholdOptions(command, 'the age of signatures in days', { warning: 2, critical: 7 }).action(async (options: SiteCheckOptions) => {
    await runCheck('CLAMD', options, async (report, timeoutMs) => {
      const [{ checkClamd }, { loadSite }, { Clamd, parseScannerAddress }] = await Promise.all([
        import('../checks/clamd-check.ts'),
        import('../files/site.ts'),
        import('@sekisho/relay'),
      ]);
      const stepMs = Math.min(SCANNER_STEP_MS, timeoutMs);
      const timings = { connectMs: stepMs, stallMs: stepMs, pingMs: stepMs, canaryMs: stepMs };
      const scanners = (loadSite(options.config).config.relay.inspect?.clamd ?? []).map((address) => ({
        address,
        clamd: new Clamd({ address: parseScannerAddress(address), timings }),
      }));
      await checkClamd(report, scanners, { ...options, timeoutMs });
    });
  });
}

async function serverOf({ config, server }: SiteCheckOptions, role: 'relay' | 'manager') {
  const [{ loadSite }, { siteAccess, theServer }] = await Promise.all([import('../files/site.ts'), import('../checks/site-access.ts')]);
  const site = loadSite(config);
  return { site, server: theServer(site, role, server), access: siteAccess(site) };
}

async function metricsUrl(file: string | undefined): Promise<string> {
  const [{ loadAgent }, { CommandError }] = await Promise.all([import('../files/agent.ts'), import('../exit-codes.ts')]);
  if (file === undefined) throw new CommandError('Which agent? Say it with --config agent.yaml, or --url of its metrics.');
  const { address, port } = loadAgent(file).metrics;
  if (port === undefined) throw new CommandError(`${file} sets no metrics.port, and only there an agent says how it is. Set it.`);
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}/metrics`;
}
