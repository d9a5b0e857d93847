import type { Command } from 'commander';
import { siteAccess } from '../checks/site-access.ts';
import { type Surveyed, surveySite } from '../checks/site-survey.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { type Asked, askManagers } from '../files/managers.ts';
import { loadSite, type Site } from '../files/site.ts';
import { paint, result, resultJson, say } from '../output.ts';
import { managerView } from '../status/manager-view.ts';
import { serversView } from '../status/servers-view.ts';

/** Who has not answered by then is lost for this look. */
const SURVEY_TIMEOUT_MS = 2000;

/** `sekisho status`: the whole site as an operator wants to see it, from any one of its servers. */
export function addStatusCommand(program: Command): void {
  program
    .command('status')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'only this server of those that are this machine')
    .option('--json', 'for programs', false)
    .description('show the whole site: what the managers of this machine see, and how every server of the site answers')
    .addHelpText(
      'after',
      `
On a server without a manager it shows how the servers answer; shares, marks and agents are known to managers only.
Exit code 69: no manager of this machine answers, or where none runs, no server at all.`,
    )
    .action(async (options: { config: string; server?: string; json: boolean }) => {
      const site = loadSite(options.config);
      const hasManager = site.here(options.server).some(({ roles }) => roles.includes('manager'));
      const [asked, servers] = await Promise.all([hasManager ? askManagers(site, options.server) : [], survey(site)]);
      if (options.json)
        resultJson({
          site: site.config.site,
          managers: asked.map(({ server, status, problem }) => status ?? { name: server.name, problem }),
          servers,
        });
      else show(site, asked, servers);
      if (hasManager && asked.every(({ status }) => status === undefined))
        throw new CommandError('No manager of this machine answers.', EXIT.unavailable);
      if (!hasManager && !servers.some(({ up }) => up)) throw new CommandError('No server of the site answers.', EXIT.unavailable);
    });
}

function show(site: Site, asked: readonly Asked[], servers: readonly Surveyed[]): void {
  const pages = asked.map(({ server, status, problem }) =>
    status === undefined ? paint('red', `manager ${server.name}: ${problem ?? 'no answer'}`) : managerView(status, Date.now()),
  );
  const title = asked.length === 0 ? `site ${site.config.site}; no manager runs on this machine` : 'every server, asked from here';
  if (servers.length > 0) pages.push(`${title}\n${serversView(servers, Date.now())}`);
  result(pages.join('\n\n'));
}

/** None when this machine has no certificate of the site to ask with: what its manager sees is shown all the same. */
async function survey(site: Site): Promise<Surveyed[]> {
  try {
    return await surveySite(site, siteAccess(site), SURVEY_TIMEOUT_MS);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    say(`sekisho: the servers were not asked: ${error.message}`);
    return [];
  }
}
