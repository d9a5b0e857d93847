import type { Command } from 'commander';
import { makePageToken } from '../files/page-token.ts';
import { requireWritable, writeSecretFile } from '../files/secret-file.ts';
import { result, resultJson, say } from '../output.ts';

/** `sekisho page token`: who may give orders at the status page of the managers. */
export function addPageCommands(program: Command): void {
  const page = program.command('page').description('the status page of managers');
  page
    .command('token')
    .requiredOption('--out <file>', 'where the digest of the token is written: page.tokenFile of site.yaml')
    .option('--json', 'for programs', false)
    .description('make a token for orders at the status page, and show it once')
    .addHelpText(
      'after',
      `
Example:
  sekisho page token --out tokyo/keys/page.token
  and in tokyo/site.yaml, the same on every server:  page: { port: 7080, tokenFile: keys/page.token }`,
    )
    .action(({ out, json }: { out: string; json: boolean }) => {
      requireWritable(out);
      const { token, fileText } = makePageToken();
      writeSecretFile(out, fileText);
      if (json) resultJson({ token, file: out });
      else result(token);
      say(`This is the token, shown once; ${out} has its digest only. Bring that file to the servers that manage, name it in page.tokenFile, and restart their managers.`);
    });
}
