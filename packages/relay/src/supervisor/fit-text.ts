import { printable } from '@sekisho/telemetry';

/**
 * A stranger's words as a text field takes them: printable, and cut to so many bytes of UTF-8. A scanner's answer with a
 * control character would otherwise end the connection with each manager, again and again.
 */
export function fitText(text: string, maxBytes: number): string {
  let fitted = '';
  let bytes = 0;
  for (const character of printable(text)) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    fitted += character;
  }
  return fitted;
}
