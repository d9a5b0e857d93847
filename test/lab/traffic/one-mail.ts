import { textMail } from '../../kit/mails.ts';
import { submit } from './submission.ts';

/** `node one-mail.ts HOST PORT NUMBER RECIPIENT`: one attempt to send one mail, told as a line of JSON. */
const [host = '', port = '', number = '', recipient = ''] = process.argv.slice(2);
const mail = { ...textMail(Number(number)), id: number, infected: false };
console.log(JSON.stringify(await submit(mail, { target: { host, port: Number(port) }, recipient })));
